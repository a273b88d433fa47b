"""Spiders that are fed through Redis, written as for scrapy-redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import scrapy
from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import Rule
from scrapy_redis.spiders import RedisCrawlSpider, RedisSpider


def seen(response: Response) -> dict[str, Any]:
    """What the tests look at, as an item."""
    request = response.request
    job = request.meta.get("job")
    return {"url": response.url, "method": request.method, "body": request.body.decode(), "job": job}


class Fed(RedisSpider):
    """scrapy-redis' example, unchanged."""

    name = "fed"
    max_idle_time = 1

    def parse(self, response: Response) -> Iterator[Any]:
        """One item a page."""
        yield seen(response)


class Own(Fed):
    """Makes its requests by itself."""

    name = "own"

    def make_request_from_data(self, data: bytes) -> list[Request]:
        """Several requests of one entry; fails on what isn't JSON."""
        return [Request(url, dont_filter=True) for url in json.loads(data)["urls"]]


class FedCrawl(RedisCrawlSpider):
    """scrapy-redis' example with rules, unchanged."""

    name = "fed-crawl"
    max_idle_time = 1
    rules = (Rule(LinkExtractor(allow="/page/"), callback="parse_page", follow=True),)

    def parse_page(self, response: Response) -> dict[str, Any]:
        """One item a page."""
        return seen(response)


class Plain(scrapy.Spider):
    """A spider that knows nothing of Redis."""

    name = "plain"

    def parse(self, response: Response) -> Iterator[Any]:
        """One item a page."""
        yield seen(response)


class Told(Plain):
    """Is told of each request that is scheduled."""

    name = "told"

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Told:
        """Listens."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.request_scheduled, signals.request_scheduled)
        return spider

    def request_scheduled(self) -> None:
        """Counts."""
        self.crawler.stats.inc_value("told/scheduled")
