"""Two versions of one spider, of which the newer has a callback more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import scrapy
from scrapy.http import Response


class Older(scrapy.Spider):
    """One page."""

    name = "older"
    custom_settings = {"ITEM_PIPELINES": {}, "ROBOTSTXT_OBEY": False}  # noqa: RUF012

    def __init__(self, url: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.start_urls = [f"{url}traps/leaf/start"]

    def parse(self, response: Response) -> Iterator[Any]:
        """Nothing."""
        self.logger.info("Parsed %s", response.url)
        yield from ()


class Newer(Older):
    """The page, and ten more, which have a callback of their own."""

    name = "newer"

    def parse(self, response: Response) -> Iterator[Any]:
        """Ten requests."""
        for number in range(10):
            yield response.follow(f"/traps/leaf/{number}", callback=self.parse_detail)

    def parse_detail(self, response: Response) -> None:
        """The callback that older workers don't have."""
        self.logger.info("Parsed %s", response.url)
