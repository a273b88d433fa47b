"""Spiders that are made, or start, as Scrapy's users make theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response


class Starting(scrapy.Spider):
    """Starts with the page `url`."""

    name = "starting"

    def __init__(self, url: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.url = url

    async def start(self) -> AsyncIterator[Request]:
        """One page."""
        yield Request(self.url, dont_filter=True)

    def parse(self, response: Response) -> Iterator[Any]:
        """One item a page."""
        yield {"url": response.url}


class ByItself(Starting):
    """Its `from_crawler` doesn't call Scrapy's."""

    name = "by-itself"
    custom_settings = {"USER_AGENT": None}  # noqa: RUF012  # as Scrapy declares it

    def __init__(self, crawler: Crawler, url: str, **kwargs: Any) -> None:
        super().__init__(url, **kwargs)
        self.own = crawler.settings.get("BOT_NAME")

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> ByItself:
        """Scrapy lets a spider do with the crawler what it likes."""
        return cls(crawler, *args, **kwargs)


class Repeating(Starting):
    """Starts three times with each of two pages."""

    name = "repeating"

    async def start(self) -> AsyncIterator[Request]:
        """Six requests."""
        for _ in range(3):
            yield Request(self.url, dont_filter=True)
            yield Request(f"{self.url}?two", dont_filter=True)


class Raising(Starting):
    """Its start fails behind its first page."""

    name = "raising"

    async def start(self) -> AsyncIterator[Request]:
        """One request, and an error."""
        yield Request(self.url, dont_filter=True)
        raise ValueError("no more where that came from")


class OwnAddons(Starting):
    """Its add-ons take the place of the project's."""

    name = "own-addons"
    custom_settings = {"ADDONS": {}}  # noqa: RUF012


class OwnPipelines(Starting):
    """Its pipelines take the place of the project's."""

    name = "own-pipelines"
    custom_settings = {"ITEM_PIPELINES": {"crawlers.pipelines.ValidatePipeline": 100}}  # noqa: RUF012
