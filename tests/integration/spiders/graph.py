"""A spider over the practice site's graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import scrapy
from scrapy.http import Response


class Graph(scrapy.Spider):
    """Follows every link and counts visits of a page, as the items of a feed."""

    name = "graph"
    custom_settings = {"ITEM_PIPELINES": {}, "ROBOTSTXT_OBEY": False}  # noqa: RUF012

    def __init__(self, url: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.start_urls = url.split(",")

    def parse(self, response: Response) -> Iterator[Any]:
        """One item a page, and all its links."""
        yield {"url": response.url}
        yield from response.follow_all(css="a")
