"""What Scrapy does with a request between the spider and the scheduler, for links that are none yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydispatch.dispatcher import (
    getAllReceivers,
    liveReceivers,
)
from scrapy import signals
from scrapy.downloadermiddlewares.offsite import OffsiteMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.spidermiddlewares.depth import DepthMiddleware
from scrapy.spidermiddlewares.metacopy import MetaCopyDetectionMiddleware
from scrapy.spidermiddlewares.referer import RefererMiddleware
from scrapy.spidermiddlewares.start import StartSpiderMiddleware
from scrapy.spidermiddlewares.urllength import UrlLengthMiddleware

from .start import StartOnce

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.spidermiddlewares.base import BaseSpiderMiddleware

# Those that do something with a request to which a page led; none changes what it is known as.
AT_WORK = (MetaCopyDetectionMiddleware, DepthMiddleware, UrlLengthMiddleware, RefererMiddleware)
AT_REST = (StartSpiderMiddleware, StartOnce)

_NOT_LONG = 2000  # where there is no limit


class Onward:
    """The spider middlewares behind the one of class `before`, and who else has a say in a request.

    `strangers` are those of them that may do anything with a request: of the user's, not Scrapy's.
    `longest`: a URL of so many characters is not too long.
    """

    def __init__(self, crawler: Crawler, before: type) -> None:
        assert crawler.engine is not None
        enabled = list(reversed(crawler.engine.scraper.spidermw.middlewares))
        behind = enabled[1 + [type(each) for each in enabled].index(before) :]
        self.strangers = [each for each in behind if _is_stranger(each)]
        self._at_work: list[BaseSpiderMiddleware] = [each for each in behind if type(each) in AT_WORK]
        self._offsite = crawler.get_downloader_middleware(OffsiteMiddleware)
        self._referrers = crawler.get_spider_middleware(RefererMiddleware)
        self.longest = crawler.settings.getint("URLLENGTH_LIMIT") or _NOT_LONG
        self._counts_depths = crawler.settings.getbool("DEPTH_STATS_VERBOSE")

    def process(self, request: Request, response: Response) -> Request | None:
        """`request` as it comes to the scheduler; None where it doesn't."""
        for middleware in self._at_work:
            processed = middleware.get_processed_request(request, response)
            if processed is None:
                return None
            request = processed
        try:
            if self._offsite is not None:
                self._offsite.process_request(request)
        except IgnoreRequest:
            return None
        return request

    def is_repeatable(self, request: Request, response: Response) -> bool:
        """Other requests of `response` to the same origin differ from `request` in their URL only."""
        if self._counts_depths:
            return False
        if self._referrers is None:
            return True
        policy = self._referrers.policy(response, request)
        return type(policy).__module__ == RefererMiddleware.__module__


def is_heard(crawler: Crawler) -> bool:
    """Somebody besides Scrapy is told of each request that is scheduled or dropped."""
    scheduled = [each for each in _listeners(crawler, signals.request_scheduled) if not _is_scrapys(each)]
    return bool(scheduled or is_drop_heard(crawler))


def is_drop_heard(crawler: Crawler) -> bool:
    """Somebody is told of each request that is dropped."""
    return bool(_listeners(crawler, signals.request_dropped))


def _listeners(crawler: Crawler, signal: object) -> list[Any]:
    return list(liveReceivers(getAllReceivers(crawler, signal)))


def _is_stranger(middleware: object) -> bool:
    if type(middleware) in AT_WORK or type(middleware) in AT_REST:
        return False
    return any(hasattr(middleware, f"process_spider_output{end}") for end in ("", "_async"))


def _is_scrapys(listener: Any) -> bool:
    return type(getattr(listener, "__self__", None)) is OffsiteMiddleware
