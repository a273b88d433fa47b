"""The plainest spider there is: a small item for each page, and every link followed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import HtmlResponse, Response


class LinkSpider(Spider):
    """`-a url=...`: where it starts."""

    name = "links"
    url: str

    async def start(self) -> AsyncIterator[Request]:
        """The one start request."""
        yield Request(self.url)

    def parse(self, response: Response, **_: Any) -> Iterator[dict[str, Any] | Request]:
        """An item, and a request for each link, seen before or not: knowing that is the scheduler's part."""
        assert isinstance(response, HtmlResponse)
        yield {"_id": response.url, "bytes": len(response.body)}
        yield from response.follow_all(css="a")
