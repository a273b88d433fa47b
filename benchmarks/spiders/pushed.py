"""Stock scrapy-redis' way to wait for pushed URLs, with nothing else to do."""

from __future__ import annotations

from scrapy.http import Response
from scrapy_redis.spiders import RedisSpider


class PushedSpider(RedisSpider):  # type: ignore[misc]  # scrapy-redis ships no types
    """Fetches what is pushed to `start_urls`."""

    name = "pushed"
    redis_key = "start_urls"

    def parse(self, response: Response) -> None:
        """The arrival at the site is all that counts."""
