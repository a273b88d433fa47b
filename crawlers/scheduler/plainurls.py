"""Plain start URLs straight into the outbox, past the request that Scrapy would be given for each."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from scrapy import Request

from crawlers.frontier import NotPlainData

from .onward import is_heard
from .straight import PLAIN

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from .hostkeys import HostKeys
    from .requests import RequestCodec, Stencil
    from .worker import Worker


class PlainUrls:
    """Does at once with a plain URL what becomes of the request that the intake would make of it: it is not
    deduplicated, and for `parse`.
    """

    def __init__(self, crawler: Crawler, codec: RequestCodec, host_keys: HostKeys, worker: Worker) -> None:
        self._crawler = crawler
        self._codec = codec
        self._host_keys = host_keys
        self._worker = worker
        self._stencil: Stencil | None = None

    def open(self) -> bool:
        """Whether any may be taken now: nobody is told of each request, and no URL decides by which proxy it
        goes.
        """
        self._stencil = None
        if not is_heard(self._crawler):
            with suppress(NotPlainData):
                self._stencil = self._codec.stencil(Request("http://any.invalid/", dont_filter=True))
        return self._stencil is not None

    def take(self, entry: bytes) -> bool:
        """Takes a URL in UTF-8. False for what Scrapy would not send as it stands, and what is too long or no
        URL at all: a request has to be made of it.
        """
        plain = PLAIN.fullmatch(entry.decode(errors="replace").strip())
        if self._stencil is None or plain is None:
            return False
        found = self._stencil.found(plain[0], None, self._host_keys.of_host(plain["host"]))
        if found is not None:
            self._worker.open_inside(plain["host"])
            self._worker.put(found)
        return found is not None
