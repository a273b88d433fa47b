"""Pages of which one holds up its worker."""

from __future__ import annotations

import time
from typing import Any

import scrapy
from scrapy.http import Response


class Blocked(scrapy.Spider):
    """`pages` pages below `url`; the callback of the third sleeps for `seconds`."""

    name = "blocked"
    custom_settings = {"ROBOTSTXT_OBEY": False, "ITEM_PIPELINES": {}, "CONCURRENT_REQUESTS": 4}  # noqa: RUF012

    def __init__(self, url: str, seconds: str, pages: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.start_urls = [f"{url}traps/leaf/{number}" for number in range(int(pages))]
        self._seconds = float(seconds)

    def parse(self, response: Response) -> None:
        """Says that the page was crawled, once its time is over."""
        if response.url.endswith("/leaf/2"):
            time.sleep(self._seconds)
        self.logger.info("Crawled %s", response.url)
