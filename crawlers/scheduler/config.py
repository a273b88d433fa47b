"""All that the scheduler reads from the settings, in one place and checked."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from os import getpid
from typing import TYPE_CHECKING

from scrapy.settings import SETTINGS_PRIORITIES
from scrapy_redis import defaults
from scrapy_redis.spiders import RedisMixin

from crawlers.frontier import Terms

from .politeness import host_policies

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.settings import BaseSettings


class BadSetting(ValueError):
    """A setting that can't be used; the text names it and says what it may be."""


@dataclass(frozen=True, slots=True)
class Config:
    """How this worker takes part in a crawl.

    `capacity`: requests it holds at most, being fetched, being parsed or waiting. `prefetch`: how many of
    these may wait. `max_bytes` of one queued request. `wait_s`: how long to stay with nothing to do; None
    for ever, 0 not at all. `start_urls`: the keys that feed it. `patience_s`: how long to wait for
    Redis before giving up, at start and at the end; in between a worker waits for ever.
    """

    crawl: str
    worker: str
    terms: Terms
    flush: bool
    capacity: int
    prefetch: int
    max_bytes: int
    wait_s: float | None
    start_urls: tuple[str, ...]
    patience_s: float
    request_classes: tuple[str, ...]

    @classmethod
    def of(cls, spider: Spider) -> Config:
        """The configuration of `spider`. Raises :class:`BadSetting`."""
        settings = spider.crawler.settings
        concurrent = at_least(settings.getint, "CONCURRENT_REQUESTS", 1)
        prefetch = at_least(settings.getint, "FRONTIER_PREFETCH", 0) or concurrent
        crawl = getattr(spider, "crawl", None)
        crawl = crawl if isinstance(crawl, str) and crawl else spider.name
        return cls(
            crawl=crawl,
            worker=f"{socket.gethostname()}:{getpid()}",
            terms=_terms(settings),
            flush=settings.getbool("SCHEDULER_FLUSH_ON_START"),
            capacity=concurrent + prefetch,
            prefetch=prefetch,
            max_bytes=at_least(settings.getint, "FRONTIER_MAX_REQUEST_BYTES", 1),
            wait_s=_wait_s(spider, settings),
            start_urls=_start_urls(spider, settings, crawl),
            patience_s=at_least(settings.getfloat, "FRONTIER_PATIENCE_S", 0),
            request_classes=tuple(settings.getlist("FRONTIER_REQUEST_CLASSES")),
        )


def at_least(read: Callable[[str], float], name: str, least: float) -> int:
    """The number `read(name)` of the settings. Raises :class:`BadSetting` below `least`."""
    try:
        value = read(name)
    except (TypeError, ValueError):
        raise BadSetting(f"{name} must be a number") from None
    if value < least:
        raise BadSetting(f"{name} must be at least {least:g}, not {value:g}")
    return value  # type: ignore[return-value]  # an int where `read` gives one


def _terms(settings: BaseSettings) -> Terms:
    return Terms(
        ttl_ms=round(at_least(settings.getfloat, "FRONTIER_LEASE_TTL_S", 0.1) * 1000),
        max_attempts=at_least(settings.getint, "FRONTIER_MAX_ATTEMPTS", 1),
        delay_ms=round(at_least(settings.getfloat, "DOWNLOAD_DELAY", 0) * 1000),
        # Scrapy's pool of connections, which reads it as well, fails on every page with 0.
        limit=at_least(settings.getint, "CONCURRENT_REQUESTS_PER_DOMAIN", 1),
        policy=host_policies(settings),
        persist=settings.getbool("SCHEDULER_PERSIST"),
    )


def _wait_s(spider: Spider, settings: BaseSettings) -> float | None:
    """scrapy-redis' meaning of 0 is to wait for ever; a spider that isn't of its kind need not wait."""
    name = "MAX_IDLE_TIME_BEFORE_CLOSE"
    own = getattr(spider, "max_idle_time", None) if isinstance(spider, RedisMixin) else None
    if own is not None:
        return float(own) or None
    if (settings.getpriority(name) or 0) > SETTINGS_PRIORITIES["default"]:
        return at_least(settings.getfloat, name, 0) or None
    return None if isinstance(spider, RedisMixin) else 0


def _start_urls(spider: Spider, settings: BaseSettings, crawl: str) -> tuple[str, ...]:
    """A crawl with a name of its own reads its own list only, so that crawls of a spider stay apart."""
    pattern = settings.get("REDIS_START_URLS_KEY") or defaults.START_URLS_KEY
    key = pattern % {"name": crawl}
    own = getattr(spider, "redis_key", None)
    if own and crawl == spider.name:
        return tuple(dict.fromkeys((own % {"name": spider.name}, key)))
    return (key,)
