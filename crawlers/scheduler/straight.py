"""Links of a page straight into the outbox, past the objects and tasks that Scrapy has for each request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crawlers.frontier import NotPlainData, Refused

from .fingerprints import fingerprint_of_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.http import Response
    from scrapy.statscollectors import StatsCollector

    from crawlers.links import Links

    from .onward import Onward
    from .requests import RequestCodec, Stencil
    from .worker import Worker

MOST_PREVIEW = 500  # bytes of a URL that its dead letter shows

# An origin, and a rest that Scrapy sends as it is. It says nothing of any other URL.
PLAIN = re.compile(
    r"(?P<origin>https?://(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::(?:[1-5][0-9]{4}|[1-9][0-9]{0,3}))?)"
    r"/[A-Za-z0-9_.~/-]*(?:\?[A-Za-z0-9_.~=&+-]+)?"
)


def refused_link(url: object, error: Exception) -> Refused:
    """What is set aside where no request can be made of `url`."""
    preview = str(url).encode(errors="replace")[:MOST_PREVIEW]
    return Refused("request", preview, f"no request can be made of it: {error}")


class Straight:
    """Does at once with links what would become of them as requests.

    Of a page's links that weren't seen, the first to each origin goes the way of all requests, as far as
    `enqueue` of the scheduler; the others are copies of it that differ in their URL.
    """

    def __init__(
        self,
        onward: Onward,
        codec: RequestCodec,
        worker: Worker,
        enqueue: Callable[[Request], bool],
        stats: StatsCollector,
    ) -> None:
        self._onward = onward
        self._codec = codec
        self._worker = worker
        self._enqueue = enqueue
        self._stats = stats

    def take(self, links: Links, response: Response) -> None:
        """Takes all `links` of `response`. What can't be queued is set aside."""
        new = self._unseen(links, response)
        stencils: dict[str, Stencil] = {}
        for fingerprint, url in new:
            if self._worker.knows(fingerprint):  # it stands on the page twice
                self._stats.inc_value("dupefilter/filtered")
                continue
            plain = PLAIN.fullmatch(url) if len(new) > 1 and len(url) <= self._onward.longest else None
            stencil = stencils.get(plain["origin"]) if plain else None
            if plain and stencil and (found := stencil.found(plain[0], fingerprint)):
                self._worker.put(found)
                continue
            request = self._take_one(url, links, response)
            if request and plain and (stencil := self._stencil(request, response)):
                stencils[plain["origin"]] = stencil

    def _unseen(self, links: Links, response: Response) -> list[tuple[int, str]]:
        new, known = [], 0
        for url in links.urls:
            try:
                fingerprint = fingerprint_of_url(url)
            except (TypeError, ValueError):
                self._take_one(url, links, response)
                continue
            if self._worker.knows(fingerprint):
                known += 1
            else:
                new.append((fingerprint, url))
        if known:
            self._stats.inc_value("dupefilter/filtered", known)
        return new

    def _take_one(self, url: str, links: Links, response: Response) -> Request | None:
        """The request that the scheduler was given for `url`, if any."""
        try:
            request = links.request(url)
        except (TypeError, ValueError) as error:
            self._worker.refuse(refused_link(url, error))
            return None
        processed = self._onward.process(request, response)
        if processed is not None:
            self._enqueue(processed)
        return processed

    def _stencil(self, request: Request, response: Response) -> Stencil | None:
        try:
            return self._codec.stencil(request) if self._onward.is_repeatable(request, response) else None
        except NotPlainData:
            return None
