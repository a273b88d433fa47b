"""A spider that downloads by itself inside its callback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import scrapy
from scrapy import Request
from scrapy.http import Response


class Beside(scrapy.Spider):
    """One page, and three more that never were in the queue."""

    name = "beside"

    def __init__(self, url: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_urls = [url]

    async def parse(self, response: Response) -> AsyncIterator[dict[str, Any]]:
        """One item for each."""
        for number in range(1, 4):
            request = Request(response.urljoin(f"/graph/{number}"))
            page = await self.crawler.engine.download_async(request)
            yield {"url": page.url}
