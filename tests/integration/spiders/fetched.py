"""A spider that fetches what it is told to and says how each download went."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from hashlib import sha1
from pathlib import Path
from typing import Any

import scrapy
from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import StopDownload
from scrapy.http import Response
from twisted.python.failure import Failure

# The clock's, and the connection's, of which one of Scrapy's handlers keeps nothing.
PASSING = (b"Date", b"Connection")


class Fetched(scrapy.Spider):
    """`-a told=FILE`: JSON, a list of the arguments of requests."""

    name = "fetched"
    custom_settings = {  # noqa: RUF012
        "ITEM_PIPELINES": {},
        "HTTPERROR_ALLOW_ALL": True,
        "RETRY_ENABLED": False,
        "ROBOTSTXT_OBEY": False,
        "FRONTIER_BACK_OFF_S": 0.1,
        "FRONTIER_BACK_OFF_MAX_S": 0.1,
        "FRONTIER_HOST_STRIKES": 0,
    }

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Fetched:
        """Listens to what is received."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.headers_received, signals.headers_received)
        crawler.signals.connect(spider.bytes_received, signals.bytes_received)
        spider.heads = Counter()
        spider.bytes = Counter()
        return spider

    def headers_received(self, request: Request) -> None:
        """Counts, and stops a download that asks for it."""
        self.heads[request.url] += 1
        if request.url.endswith("stop"):
            raise StopDownload(fail=False)

    def bytes_received(self, data: bytes, request: Request) -> None:
        """Counts."""
        self.bytes[request.url] += len(data)

    async def start(self) -> AsyncIterator[Any]:
        """The requests."""
        for told in json.loads(Path(self.told).read_text()):
            yield Request(**told, errback=self.failed, dont_filter=True)

    def parse(self, response: Response) -> Any:
        """What came."""
        yield {
            **self.heard(response.request),
            "came_from": response.url,
            "status": response.status,
            "class": type(response).__name__,
            "body": sha1(response.body).hexdigest(),
            "text": response.text if b"echo" in response.body[:100] else None,
            "headers": sorted(repr(each) for each in response.headers.items() if each[0] not in PASSING),
            "address": str(response.ip_address),
            "protocol": response.protocol,
            "flags": response.flags,
            "certified": response.certificate is not None,
            "timed": response.meta["download_latency"] > 0,
        }

    def failed(self, failure: Failure) -> Any:
        """What went wrong."""
        yield {
            **self.heard(failure.request),
            "error": type(failure.value).__name__,
            "why": str(failure.value)[:300],
        }

    def heard(self, request: Request | None) -> dict[str, Any]:
        """What the signals told of it."""
        assert request is not None
        first = request.meta.get("redirect_urls", [request.url])[0]
        return {
            "asked": f"{request.method} {first}",
            "url": request.url,
            "heads": self.heads[request.url],
            "bytes": self.bytes[request.url],
        }
