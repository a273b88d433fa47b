"""A spider that ends in one of the ways in which a crawl can end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy
from scrapy import signals
from scrapy.exceptions import CloseSpider
from scrapy.http import Response


class Ends(scrapy.Spider):
    """`way` says how."""

    name = "ends"

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> Ends:
        """Scrapy's way to make one."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.idle, signals.spider_idle)
        crawler.signals.connect(spider.opened, signals.spider_opened)
        return spider

    def idle(self) -> None:
        """As a handler of a user's."""
        if self.way == "idle":
            raise CloseSpider("enough of it")

    def opened(self) -> None:
        """As a handler of a user's."""
        if self.way == "opened":
            raise CloseSpider("not today")

    async def start(self) -> AsyncIterator[Any]:
        """The one page, or none."""
        if self.way == "start":
            raise CloseSpider("memusage_exceeded")
        if self.way == "start raises":
            raise ValueError("as asked")
        yield scrapy.Request(self.url, self.download if self.way == "download" else None)

    def parse(self, _: Response) -> Iterator[Any]:
        """Ends the crawl."""
        self.logger.info("Parsed")
        engine: Any = self.crawler.engine
        if self.way == "callback":
            raise CloseSpider("frontier_error")
        if self.way == "raises":
            raise ValueError("as asked")
        if self.way == "reason":
            self.closing = self.end(engine, "a_reason_of_its_own")
        if self.way == "stop":
            self.closing = scrapy.utils.defer.deferred_from_coro(engine.stop_async())
        if self.way in ("SIGTERM", "SIGINT"):
            os.kill(os.getpid(), getattr(signal, self.way))
        yield from ()

    async def download(self, _: Response) -> None:
        """A page that needs Redis once more, after it has gone."""
        self.logger.info("Parsed")
        while not os.path.exists(self.gone):
            await asyncio.sleep(0.02)
        engine: Any = self.crawler.engine
        await engine.download_async(scrapy.Request(self.url))

    def end(self, engine: Any, reason: str) -> Any:
        """As an extension would."""
        return scrapy.utils.defer.deferred_from_coro(engine.close_spider_async(reason=reason))
