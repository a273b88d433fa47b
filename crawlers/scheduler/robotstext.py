"""The text of a robots.txt, however long and in whatever encoding it comes."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from scrapy import signals
from scrapy.exceptions import StopDownload

from .limits import CUT

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.http import Response
    from scrapy.signalmanager import SignalManager

MOST_BYTES = 500 * 1024
"""More of a robots.txt need not be read (RFC 9309, 2.5)."""

_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def text_of(response: Response) -> bytes:
    """The lines of `response`, in UTF-8. Of one that is longer than what is read, those that are complete: of
    a rule cut short the rest would forbid more than the site does.

    What isn't UTF-8 stays as it is: its lines are read as far as they can be (RFC 9309, 2.2 and 2.3.1.5).
    """
    body = response.body
    stopped = "download_stopped" in response.flags or len(body) > MOST_BYTES
    body = body[:MOST_BYTES]
    for mark, encoding in _UTF_16.items():
        if body.startswith(mark) and 3 * body.count(0) > len(body):  # rules are ASCII
            body = body[len(mark) :].decode(encoding, "ignore").encode()
    if stopped:
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
    return body


class Stopper:
    """Ends downloads whose request has :data:`CUT` in its meta at that many bytes, by Scrapy's own means.

    It listens only while there are such, for each piece of every body is told of.
    """

    def __init__(self, manager: SignalManager) -> None:
        self._manager = manager
        self._at_work = 0
        self._sizes: WeakKeyDictionary[Request, int] = WeakKeyDictionary()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """For the while."""
        if not self._at_work:
            self._manager.connect(self._received, signals.bytes_received)
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._manager.disconnect(self._received, signals.bytes_received)

    def _received(self, data: bytes, request: Request) -> None:
        if most := request.meta.get(CUT):
            self._sizes[request] = self._sizes.get(request, 0) + len(data)
            if self._sizes[request] >= most:
                raise StopDownload(fail=False)
