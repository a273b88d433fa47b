"""A spider that wants to know of sitemaps."""

from __future__ import annotations

from typing import Any, Self

import scrapy
from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.robotstxt import ProtegoRobotParser


class Sitemaps(scrapy.Spider):
    """Logs the sitemaps of the hosts it visits."""

    name = "sitemaps"
    custom_settings = {"ITEM_PIPELINES": {}}  # noqa: RUF012

    def __init__(self, url: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_urls = [url]

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        """As Scrapy makes one."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.robots_parsed, signals.robots_parsed)
        return spider

    def robots_parsed(self, robotparser: ProtegoRobotParser, request: Request) -> None:
        """Scrapy's signal."""
        for url in robotparser.rp.sitemaps:
            self.logger.info("Sitemap %s of %s", url, request.url)

    def parse(self, response: Response) -> dict[str, Any]:
        """One item a page."""
        return {"url": response.url}
