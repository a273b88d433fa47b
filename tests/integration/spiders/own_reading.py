"""Spiders of scrapy-redis' classes that read their list by methods of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import redis
from scrapy import Request
from scrapy.exceptions import DontCloseSpider

from .fed import Fed


class OwnNext(Fed):
    """Adds to what scrapy-redis makes of each entry."""

    name = "own-next"

    def next_requests(self) -> Iterator[Request]:
        """Each request, with a job; fails on one that says so."""
        for request in super().next_requests():
            if "fail" in request.url:
                raise ValueError("this one is no good")
            yield request.replace(meta={"job": "next"})


class ByServer(Fed):
    """Takes entries one by one, as scrapy-redis' issues advise."""

    name = "by-server"

    def next_requests(self) -> Iterator[Request]:
        """All that is there."""
        while entry := self.server.lpop(self.redis_key):
            yield Request(entry.decode(), dont_filter=True)


class OwnPop(Fed):
    """Takes the youngest first."""

    name = "own-pop"

    def pop_list_queue(self, redis_key: str, batch_size: int) -> list[bytes]:
        """From the other end."""
        return self.server.rpop(redis_key, batch_size)


class OwnServer(Fed):
    """Its list is in another database than the crawl."""

    name = "own-server"

    def setup_redis(self, crawler: Any = None) -> None:
        """Another client."""
        self.server = redis.Redis.from_url(crawler.settings["REDIS_URL"].replace("/0", "/9"))
        self.redis_key, self.redis_batch_size, self.redis_encoding = f"{self.name}:start_urls", 16, "utf-8"
        self.fetch_data = self.pop_list_queue


class OwnSchedule(Fed):
    """Has requests from elsewhere when there is nothing to do."""

    name = "own-schedule"
    left = 3

    def schedule_next_requests(self) -> None:
        """One more, and what scrapy-redis would."""
        super().schedule_next_requests()
        if self.left:
            self.left -= 1
            self.crawler.engine.crawl(Request(f"{self.more}/traps/leaf/more-{self.left}", dont_filter=True))


class OwnIdle(OwnSchedule):
    """Decides by itself when there is nothing left."""

    name = "own-idle"

    def schedule_next_requests(self) -> None:
        """Never called by a `spider_idle` that doesn't."""
        raise AssertionError

    def spider_idle(self) -> None:
        """Stays while anything is left."""
        if self.left:
            OwnSchedule.schedule_next_requests(self)
            raise DontCloseSpider
