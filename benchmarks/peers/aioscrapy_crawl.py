"""aio-scrapy with its queue and its dupefilter in Redis: `python aioscrapy_crawl.py URL REDIS_URL`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

from aioscrapy import Request, Spider
from aioscrapy.http import Response

URL, REDIS_URL = sys.argv[1:]


class LinkSpider(Spider):
    """The same spider as the others'."""

    name = "links"
    start_urls = [URL]  # noqa: RUF012  # as aio-scrapy declares it
    custom_settings = {  # noqa: RUF012
        "CONCURRENT_REQUESTS": 32,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 32,
        "LOG_LEVEL": "WARNING",
        "SCHEDULER_QUEUE_CLASS": "aioscrapy.queue.redis.SpiderPriorityQueue",
        "DUPEFILTER_CLASS": "aioscrapy.dupefilters.redis.RFPDupeFilter",
        "REDIS_ARGS": {"queue": {"url": REDIS_URL}},
    }

    async def parse(self, response: Response) -> AsyncIterator[dict[str, Any] | Request]:
        """An item, and a request for each link."""
        yield {"_id": response.url, "bytes": len(response.body)}
        for href in response.css("a::attr(href)").getall():
            yield Request(response.urljoin(href), callback=self.parse)


LinkSpider.start()
