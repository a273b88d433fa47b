"""The same spider, whose links are Links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import HtmlResponse, Response

from crawlers.links import Links


class BulkSpider(Spider):
    """`-a url=...`: where it starts."""

    name = "links"
    url: str

    async def start(self) -> AsyncIterator[Request]:
        """The one start request."""
        yield Request(self.url)

    def parse(self, response: Response, **_: Any) -> Iterator[dict[str, Any] | Links]:
        """An item, and all links of the page."""
        assert isinstance(response, HtmlResponse)
        yield {"_id": response.url, "bytes": len(response.body)}
        yield Links.of(response, css="a")
