"""The same faults in a crawl of stock scrapy-redis."""

from __future__ import annotations

import time
from typing import Any

import redis

from benchmarks.contenders import STOCK

from .crawl_run import CrawlRun
from .fleet import FleetWorker
from .look import page_of

_IDLE_S = 10
_KEY = "stock_pages:{}"


class StockRun(CrawlRun):
    """A crawl that gets every chance: whoever dies is started again, and it ends when nothing has happened
    for 10 s. A page counts once its callback was called, which is more than any pipeline would store.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._crawled = self.folder / "crawled.txt"
        self._size, self._grew_s = 0, time.monotonic()
        self._pushed = False

    def new_worker(self, number: int) -> FleetWorker:
        settings = {
            "CONCURRENT_REQUESTS": 8,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
            "DOWNLOAD_DELAY": 0,
            "AUTOTHROTTLE_ENABLED": False,
            "ROBOTSTXT_OBEY": False,
            "TELNETCONSOLE_ENABLED": False,
            "LOG_LEVEL": "INFO",
            "REDIS_URL": f"redis://127.0.0.1:{self._redis_port}/0",
            **self.plan.settings,
        }
        arguments = ["runspider", "benchmarks/spiders/stock_pages.py", "-a", f"crawled={self._crawled}"]
        arguments += STOCK.arguments(settings)
        return FleetWorker(arguments, self.folder / f"worker-{number}.log", STOCK.environ)

    def push_start_urls(self) -> None:
        """None: whoever is idle reads them, and where it dies they are lost; links are enough to compare."""

    @property
    def is_supervised(self) -> bool:
        return True

    @property
    def share_done(self) -> float:
        return len(self.crawled()) / self.scale.pages

    def crawled(self) -> set[int]:
        """The pages whose callbacks were called."""
        lines = self._crawled.read_text().splitlines() if self._crawled.exists() else []
        return {page for line in lines if (page := page_of(line)) is not None}

    def lost(self) -> list[int]:
        """The pages whose callbacks were never called."""
        return sorted(set(range(self.scale.pages)) - self.crawled())

    def watch(self) -> None:
        """Pushes the start URL once all workers wait for it, and starts again whoever has ended."""
        if not self._pushed and all("Spider opened" in worker.output() for worker in self.fleet):
            self.observer.client.lpush(_KEY.format("start_urls"), f"{self.site_url}graph/0")
            self._pushed = True
        size = self._crawled.stat().st_size if self._crawled.exists() else 0
        if size != self._size or self._active:
            self._size, self._grew_s = size, time.monotonic()

    def has_ended(self) -> bool:
        """Nothing is queued, and nothing has happened for a while; a crawl that hangs ends by its limit."""
        try:
            left = self.observer.client.zcard(_KEY.format("requests"))
            left += self.observer.client.llen(_KEY.format("start_urls"))
        except redis.RedisError:
            return False
        return self._pushed and not left and time.monotonic() - self._grew_s > _IDLE_S
