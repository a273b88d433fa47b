"""Who is compared: Scrapy's own scheduler in memory, stock scrapy-redis, and this project's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

PROJECT = "crawlers.settings"
SCRAPY = "benchmarks.scrapy_defaults"

Settings = Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Contender:
    """A scheduler and what belongs to it: `base` is a settings module, `settings` go on top. `spider`: the
    module in `benchmarks/spiders` that crawls the graph.
    """

    name: str
    base: str
    settings: Settings
    spider: str = "links"

    def arguments(self, settings: Settings) -> list[str]:
        """Its settings and the benchmark's own as arguments of a `scrapy` command."""
        together = {**self.settings, **settings}
        return [word for name, value in together.items() for word in ("-s", f"{name}={value}")]

    @property
    def environ(self) -> dict[str, str]:
        """The whole environment of its workers."""
        return {**os.environ, "SCRAPY_SETTINGS_MODULE": self.base}


_MEMORY: Settings = {
    "SCHEDULER": "scrapy.core.scheduler.Scheduler",
    "DUPEFILTER_CLASS": "scrapy.dupefilters.RFPDupeFilter",
    "DOWNLOADER": "scrapy.core.downloader.Downloader",
    "STATS_CLASS": "scrapy.statscollectors.MemoryStatsCollector",
    "LOG_FORMATTER": "scrapy.logformatter.LogFormatter",
}
_STOCK: Settings = {
    "SCHEDULER": "scrapy_redis.scheduler.Scheduler",
    "DUPEFILTER_CLASS": "scrapy_redis.dupefilter.RFPDupeFilter",
    "DOWNLOADER": "scrapy.core.downloader.Downloader",
    "STATS_CLASS": "scrapy.statscollectors.MemoryStatsCollector",
    "LOG_FORMATTER": "scrapy.logformatter.LogFormatter",
    "SCHEDULER_PERSIST": True,
}

OURS = Contender("this project", PROJECT, {})
OURS_IN_BULK = Contender("this project, Links", PROJECT, {}, spider="bulk")
OURS_FAST = Contender("this project, Links, fast profile", PROJECT, {"FAST_PROFILE": True}, spider="bulk")
MEMORY = Contender("Scrapy, in memory", SCRAPY, _MEMORY)
STOCK = Contender("stock scrapy-redis", SCRAPY, _STOCK)
MEMORY_WITH_OUR_SETTINGS = Contender(MEMORY.name, PROJECT, _MEMORY)
STOCK_WITH_OUR_SETTINGS = Contender(STOCK.name, PROJECT, _STOCK)

AT_FULL_SPEED: Settings = {
    "CONCURRENT_REQUESTS": 32,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 32,
    "DOWNLOAD_DELAY": 0,
    "AUTOTHROTTLE_ENABLED": False,
    "ROBOTSTXT_OBEY": False,
    "TELNETCONSOLE_ENABLED": False,
    "LOG_LEVEL": "INFO",
}
"""What all contenders crawl with, whatever their settings say."""
