"""The start of a spider runs in every worker, its requests are crawled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.spidermiddlewares.base import BaseSpiderMiddleware

from .marks import START, drop_marks

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

# So many different start requests are counted, at some 150 bytes each; further ones are taken for the first.
_MOST_COUNTED = 100_000


class StartOnce(BaseSpiderMiddleware):
    """Marks what a spider's `start` yields, so that the fleet crawls it once in a run.

    Scrapy's own start requests are not deduplicated; fifty workers would fetch each fifty times. One that a
    spider yields three times is crawled three times, as in Scrapy.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._yielded: dict[bytes, int] = {}

    def get_processed_request(self, request: Request, response: Response | None) -> Request | None:
        """Marks `request` where it isn't the outcome of a response."""
        drop_marks(request.meta)
        if response is None:
            request.meta[START] = self._count(request)
        return request

    def _count(self, request: Request) -> int:
        """The how-manieth request like this one it is."""
        fingerprinter = self.crawler.request_fingerprinter
        assert fingerprinter is not None
        digest = fingerprinter.fingerprint(request)
        if len(self._yielded) < _MOST_COUNTED or digest in self._yielded:
            self._yielded[digest] = self._yielded.get(digest, 0) + 1
        return self._yielded.get(digest, 1)
