"""A spider one of whose pages holds up its worker, in one of several ways."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import scrapy
from scrapy import Request
from scrapy.http import Response


def block(way: str, seconds: float) -> None:
    """Holds up the thread: asleep, which lets others run, or in a regular expression, which doesn't."""
    if way == "regex":
        until_s = time.monotonic() + seconds
        text = "a" * 16  # some ms; one search of the whole time would take as long as the machine likes
        while time.monotonic() < until_s:
            re.match(r"(a+)+$", text + "!")
            text += "a" * (len(text) < 24)
    else:
        time.sleep(seconds)


class Pipeline:
    """Blocks on the item of the page that is to block."""

    def __init__(self, crawler: scrapy.crawler.Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: scrapy.crawler.Crawler) -> Pipeline:
        """As Scrapy builds its components."""
        return cls(crawler)

    def process_item(self, item: dict[str, Any]) -> dict[str, Any]:
        """Scrapy's call."""
        self._crawler.spider.block_at("pipeline", item["url"])
        return item


class Middleware(Pipeline):
    """Blocks on the response of the page that is to block."""

    def process_response(self, request: Request, response: Response) -> Response:
        """Scrapy's call."""
        self._crawler.spider.block_at("middleware", request.url)
        return response


class Blocking(scrapy.Spider):
    """Pages `/traps/leaf/0` to `/traps/leaf/<pages - 1>`; that numbered 3 blocks in the given `way`."""

    name = "blocking"
    custom_settings = {  # noqa: RUF012
        "ITEM_PIPELINES": {Pipeline: 1},
        "DOWNLOADER_MIDDLEWARES": {Middleware: 5},
        "CONCURRENT_REQUESTS": 4,
    }

    def __init__(self, url: str, way: str = "sleep", seconds: str = "1", pages: str = "12", **kwargs: Any):
        super().__init__(**kwargs)
        self.start_urls = [f"{url}traps/leaf/{number}" for number in range(int(pages))]
        self._way, self._seconds = way, float(seconds)

    def block_at(self, place: str, url: str) -> None:
        """Blocks where this is the page, and `place` the way."""
        callback = place == "callback" and self._way in ("sleep", "regex")
        if url.endswith("/leaf/3") and (callback or place == self._way):
            block(self._way, self._seconds)

    def parse(self, response: Response) -> Iterator[dict[str, Any]]:
        """One item a page, which says that it was parsed."""
        self.block_at("callback", response.url)
        self.logger.info("Parsed %s", response.url)
        yield {"url": response.url}
