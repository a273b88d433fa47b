"""Next to the spider: links that were seen go no further, and Links go straight to the frontier."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from scrapy import Request, signals

from crawlers.frontier import Refused
from crawlers.links import Links

from .config import BadSetting
from .marks import drop_marks
from .onward import Onward, is_drop_heard, is_heard
from .straight import MOST_PREVIEW, Straight, refused_link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from .requests import RequestCodec
    from .worker import Worker

logger = logging.getLogger(__name__)


class LinkSieve:
    """A spider middleware for what comes out of a spider's callbacks, before any other sees it.

    - Requests that this worker knows to have been seen are dropped as by Scrapy's dupefilter.
    - :class:`Links` become links of the frontier; as requests they go on where that wouldn't be the same: a
      spider middleware that isn't Scrapy's is to see them, somebody listens to the signals of each request,
      or requests are told apart by more than their URL, method and body.

    Under another scheduler than ours nothing is dropped, and all Links are requests.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._codec: RequestCodec
        self._worker: Worker | None = None
        self._drops = False
        self._straight: Straight | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> LinkSieve:
        """Scrapy's way to make one."""
        return cls(crawler)

    def bind(self, codec: RequestCodec, worker: Worker, enqueue: Callable[[Request], bool]) -> None:
        """Called by the scheduler when it is open, with its `enqueue_request`. Raises :class:`BadSetting`."""
        onward = Onward(self._crawler, before=type(self))
        self._codec, self._worker = codec, worker
        wanted = _drop_early(self._crawler.settings.get("FRONTIER_DROP_EARLY", "auto"))
        self._drops = codec.is_scrapys and (not onward.strangers if wanted is None else wanted)
        if self._drops and not onward.strangers:
            self._straight = Straight(onward, codec, worker, enqueue, self._crawler.stats)

    async def process_start(self, start: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Scrapy's way to change what a spider starts with."""
        async for output in start:
            if isinstance(output, Links):
                for request in self._each(output):
                    yield request
            else:
                yield output

    async def process_spider_output(
        self, response: Response, result: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        """Scrapy's way to change what a callback yields."""
        async for output in result:
            for each in self.sift((output,), response):
                yield each

    def sift(self, outputs: Iterable[Any], response: Response) -> Iterator[Any]:
        """What is left of `outputs` of the callback of `response`."""
        is_heard = self._drops and is_drop_heard(self._crawler)
        for output in outputs:
            for each in self._requests(output, response) if isinstance(output, Links) else (output,):
                is_link = self._drops and isinstance(each, Request)
                if not (is_link and self._is_dropped(each, is_heard=is_heard)):
                    yield each

    def _requests(self, links: Links, response: Response) -> Iterator[Request]:
        """What of `links` doesn't go straight to the frontier."""
        for url, reason in links.set_aside.items():
            self._refuse(Refused("request", url.encode(errors="replace")[:MOST_PREVIEW], reason))
        drop_marks(links.meta)
        if self._straight is None or links.meta.get("verbatim_url") or is_heard(self._crawler):
            return self._each(links)
        self._straight.take(links, response)
        return iter(())

    def _each(self, links: Links) -> Iterator[Request]:
        """A request for each; where none can be made, it is said why."""
        for url in links.urls:
            try:
                yield links.request(url)
            except (TypeError, ValueError) as error:
                self._refuse(refused_link(url, error))

    def _refuse(self, refused: Refused) -> None:
        if self._worker is None:
            logger.warning("Left out %r: %s", refused.payload, refused.reason)
        else:
            self._worker.refuse(refused)

    def _is_dropped(self, request: Request, *, is_heard: bool) -> bool:
        fingerprint = self._codec.fingerprint(request)
        if self._worker is None or fingerprint is None or not self._worker.knows(fingerprint):
            return False
        self._crawler.stats.inc_value("dupefilter/filtered")
        if is_heard:
            spider = self._crawler.spider
            self._crawler.signals.send_catch_log(signals.request_dropped, request=request, spider=spider)
        return True


def _drop_early(value: object) -> bool | None:
    """The setting; None for "auto"."""
    text = str(value).lower()
    if text not in ("auto", "true", "false", "1", "0"):
        raise BadSetting(f"FRONTIER_DROP_EARLY must be auto, True or False, not {value!r}")
    return None if text == "auto" else text in ("true", "1")
