"""Scrapy's commands for development don't join a crawl: they answer as in Scrapy, beside it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from scrapy import signals
from scrapy.settings import SETTINGS_PRIORITIES, default_settings
from scrapy.utils.misc import load_object
from scrapy_redis.spiders import RedisMixin

from crawlers.redis_spiders import stop_reading_when_idle

from .sieve import LinkSieve

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

COMMANDS = frozenset({"bench", "check", "fetch", "parse", "shell", "view"})
# Whose classes, in these settings, share what is in Redis.
_OURS = ("crawlers.", "scrapy_redis.")
_SHARED = ("SCHEDULER", "DUPEFILTER_CLASS", "STATS_CLASS", "DOWNLOADER")
# Pipelines that store: in MongoDB, in Redis.
_STORES = {("crawlers.pipelines", "MongoPipeline"), ("scrapy_redis.pipelines", "RedisPipeline")}


def is_development() -> bool:
    """Whether one of these commands runs. Scrapy tells nobody which it is, but for the stack."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "execute" and frame.f_globals.get("__name__") == "scrapy.cmdline":
            return frame.f_locals.get("cmdname") in COMMANDS
        frame = frame.f_back  # type: ignore[assignment]  # None at the end
    return False


def stand_aside(settings: BaseSettings) -> None:
    """Puts Scrapy's own classes in the place of those that share a crawl, and no store behind them."""
    for name in _SHARED:
        if _module(settings[name]).startswith(_OURS):
            settings.set(name, getattr(default_settings, name), _above(settings, name))
    pipelines = settings.getdict("ITEM_PIPELINES")
    stores = {each: None for each in pipelines if _is_store(load_object(each))}
    settings.set("ITEM_PIPELINES", {**pipelines, **stores}, _above(settings, "ITEM_PIPELINES"))
    add = settings.setdefault_in_component_priority_dict
    add("SPIDER_MIDDLEWARES", LinkSieve, 2000)  # which makes requests of Links
    add("EXTENSIONS", ReadsNoList, 0)


def _above(settings: BaseSettings, name: str) -> int:
    return max(settings.getpriority(name) or 0, SETTINGS_PRIORITIES["cmdline"])


def _module(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "__module__", "") + "."


def _is_store(pipeline: Any) -> bool:
    return any((cls.__module__, cls.__name__) in _STORES for cls in getattr(pipeline, "__mro__", ()))


class ReadsNoList:
    """An extension that keeps scrapy-redis' spiders from reading their lists, and from waiting for more."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ReadsNoList:
        """As Scrapy builds its components."""
        crawler.signals.connect(_stop_reading, signals.spider_opened)
        return cls()


def _stop_reading(spider: Spider) -> None:
    if isinstance(spider, RedisMixin):
        stop_reading_when_idle(spider)
