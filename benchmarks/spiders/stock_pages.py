"""The `pages` spider on stock scrapy-redis: the same links, and a note of each callback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Self

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy_redis.spiders import RedisMixin

from crawlers.items import Page
from crawlers.links import Links
from crawlers.spiders.pages import PagesSpider


class StockPagesSpider(RedisMixin, PagesSpider):  # type: ignore[misc]  # it ships no types
    """`-a crawled=FILE`: gets a line with the URL of each page whose callback is called."""

    name = "stock_pages"

    def __init__(self, crawled: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._crawled = os.open(crawled, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        """As scrapy-redis' own spiders are made."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.setup_redis(crawler)
        return spider

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Page | Request]:
        """The page and its links, as requests; the line is out of the process before either."""
        os.write(self._crawled, f"{response.url}\n".encode())
        for found in super().parse(response, **kwargs):
            if isinstance(found, Links):
                yield from found.requests()
            else:
                yield found
