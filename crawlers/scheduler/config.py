"""All that the scheduler reads from the settings, in one place and checked."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from os import getpid
from typing import TYPE_CHECKING

from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.settings import SETTINGS_PRIORITIES
from scrapy_redis import defaults
from scrapy_redis.spiders import RedisMixin

from crawlers.frontier import HostPolicy, Terms
from crawlers.options import BadSetting as BadSetting
from crawlers.options import ensure_key, ensure_number

from .addresses import Network
from .hostkeys import KINDS, HostKeys
from .politeness import host_policies, jitter

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings


@dataclass(frozen=True, slots=True)
class Config:
    """How this worker takes part in a crawl.

    `capacity`: requests it holds at most, being fetched, being parsed or waiting. `prefetch`: how many of
    these may wait. `max_bytes` of one queued request. `wait_s`: how long to stay with nothing to do; None
    for ever, 0 not at all. `start_urls`: the keys that feed it. `patience_s`: how long to wait for
    Redis before giving up, at start and at the end; in between a worker waits for ever. `quiet_s`: after so
    long without a page it says what the crawl waits for, 0 for never. `dead`: dead
    letters that stay in Redis, 0 for all. `host_keys`: what
    shares a delay. `queued_in_redis`: requests of the crawl that stay there, 0 for all. `page_returns`: how
    often redirects may bring a page back to a request that it has been. `inside_networks`: inside addresses
    to which any request may go. `callback_limit_s`: how long a callback may block the loop before its
    worker's leases go to others, 0 for ever. `unknown_wait_s`: how long a request that this worker can't
    run waits for one that can.
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
    quiet_s: float
    dead: int
    request_classes: tuple[str, ...]
    host_keys: HostKeys
    queued_in_redis: int
    replicas: int
    page_returns: int
    inside_networks: tuple[Network, ...]
    callback_limit_s: float
    unknown_wait_s: float
    pushed_meta: frozenset[str]

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
            terms=_terms(spider.crawler),
            flush=settings.getbool("SCHEDULER_FLUSH_ON_START"),
            capacity=concurrent + prefetch,
            prefetch=prefetch,
            max_bytes=at_least(settings.getint, "FRONTIER_MAX_REQUEST_BYTES", 1),
            wait_s=_wait_s(spider, settings),
            start_urls=_start_urls(spider, settings, crawl),
            dead=at_least(settings.getint, "FRONTIER_DEAD_LETTERS", 0),
            quiet_s=at_least(settings.getfloat, "FRONTIER_QUIET_S", 0),
            patience_s=at_least(settings.getfloat, "FRONTIER_PATIENCE_S", 0),
            request_classes=tuple(settings.getlist("FRONTIER_REQUEST_CLASSES")),
            host_keys=HostKeys(one_of(settings, "FRONTIER_HOST_KEY", KINDS)),
            replicas=_replicas(settings),
            queued_in_redis=at_least(settings.getint, "FRONTIER_QUEUED_IN_REDIS", 0),
            callback_limit_s=at_least(settings.getfloat, "FRONTIER_CALLBACK_LIMIT_S", 0),
            unknown_wait_s=at_least(settings.getfloat, "FRONTIER_UNKNOWN_WAIT_S", 0),
            page_returns=at_least(settings.getint, "FRONTIER_PAGE_RETURNS", 0),
            inside_networks=_networks(settings, "FRONTIER_INSIDE_NETWORKS"),
            pushed_meta=frozenset(settings.getlist("FRONTIER_PUSHED_META")),
        )


_MOST = 1e9  # seconds, requests, bytes: the scripts count to 2^40 ms


def _replicas(settings: BaseSettings) -> int:
    number = at_least(settings.getint, "FRONTIER_REPLICAS", 0)
    if number and "+cluster:" in (settings.get("REDIS_URL") or ""):
        raise BadSetting("FRONTIER_REPLICAS can't be used with redis+cluster: set it to 0")
    return number


def at_least(read: Callable[[str], float], name: str, least: float) -> int:
    """The number `read(name)` of the settings. Raises :class:`BadSetting` for one below `least`, one that the
    frontier can't count with, and none.
    """
    try:
        value = read(name)
    except (TypeError, ValueError, OverflowError):
        raise BadSetting(f"{name} must be a number") from None
    if value < least:
        raise BadSetting(f"{name} must be at least {least:g}, not {str(value)[:30]}")
    if not value <= _MOST:
        raise BadSetting(f"{name} must be a number up to {_MOST:g}, not {str(value)[:30]}")
    return value  # type: ignore[return-value]  # an int where `read` gives one


def _terms(crawler: Crawler) -> Terms:
    settings = crawler.settings
    obeys = crawler.get_downloader_middleware(RobotsTxtMiddleware) is not None
    return Terms(
        ttl_ms=_ms(settings, "FRONTIER_LEASE_TTL_S", least_s=0.1),
        max_attempts=at_least(settings.getint, "FRONTIER_MAX_ATTEMPTS", 1),
        persist=settings.getbool("SCHEDULER_PERSIST"),
        delay_ms=_ms(settings, "DOWNLOAD_DELAY"),
        jitter=jitter(settings),
        # Scrapy's pool of connections, which reads it as well, fails on every page with 0.
        limit=at_least(settings.getint, "CONCURRENT_REQUESTS_PER_DOMAIN", 1),
        policy=_policies(settings),
        robots=settings.getbool("ROBOTSTXT_OBEY") and obeys,
        strict=one_of(settings, "FRONTIER_ORDER", ("hosts", "priority")) == "priority",
        seen_small=one_of(settings, "FRONTIER_SEEN", ("exact", "small")) == "small",
        chunk=_chunk(settings),
        crawl_delay_max_ms=_ms(settings, "FRONTIER_CRAWL_DELAY_MAX_S"),
        host_pages=at_least(settings.getint, "FRONTIER_HOST_PAGES", 0),
        back_off_ms=_ms(settings, "FRONTIER_BACK_OFF_S"),
        back_off_max_ms=_ms(settings, "FRONTIER_BACK_OFF_MAX_S"),
        strikes=at_least(settings.getint, "FRONTIER_HOST_STRIKES", 0),
        rest_ms=_ms(settings, "FRONTIER_HOST_REST_S"),
        rests=at_least(settings.getint, "FRONTIER_HOST_RESTS", 0),
        **_throttle(settings),
    )


def _chunk(settings: BaseSettings) -> int:
    """A queue that has been moved in part comes back whatever this says."""
    length = at_least(settings.getint, "FRONTIER_QUEUE_CHUNK", 10)
    return length if settings.getint("FRONTIER_QUEUED_IN_REDIS") else 0


def _networks(settings: BaseSettings, name: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(str(text).strip(), strict=False) for text in settings.getlist(name))
    except ValueError as error:
        raise BadSetting(f"{name} must be networks such as 10.0.0.0/8 or fd00::/8: {error}") from None


def one_of(settings: BaseSettings, name: str, words: tuple[str, ...]) -> str:
    """The setting `name`. Raises :class:`BadSetting` for what is none of `words`."""
    value = settings.get(name)
    if value not in words:
        raise BadSetting(f"{name} must be one of {', '.join(words)}, not {value!r}")
    return str(value)


def _throttle(settings: BaseSettings) -> dict[str, int]:
    """What Scrapy's AutoThrottle reads, which is off here."""
    if not settings.getbool("AUTOTHROTTLE_ENABLED"):
        return {}
    target = at_least(settings.getfloat, "AUTOTHROTTLE_TARGET_CONCURRENCY", 0.001)
    return {
        "throttle": round(target * 1000),
        "throttle_start_ms": _ms(settings, "AUTOTHROTTLE_START_DELAY"),
        "throttle_max_ms": _ms(settings, "AUTOTHROTTLE_MAX_DELAY"),
    }


def _policies(settings: BaseSettings) -> dict[str, HostPolicy]:
    """`DOWNLOAD_SLOTS`. Raises :class:`BadSetting`."""
    try:
        return host_policies(settings)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise BadSetting(f"DOWNLOAD_SLOTS can't be used: {error}") from None


def _ms(settings: BaseSettings, name: str, *, least_s: float = 0) -> int:
    """The setting `name`, which is in seconds."""
    return round(at_least(settings.getfloat, name, least_s) * 1000)


def _wait_s(spider: Spider, settings: BaseSettings) -> float | None:
    """scrapy-redis' meaning of 0 is to wait for ever; a spider that isn't of its kind need not wait."""
    name = "MAX_IDLE_TIME_BEFORE_CLOSE"
    own = getattr(spider, "max_idle_time", None) if isinstance(spider, RedisMixin) else None
    if own is not None:
        return ensure_number(name, f"max_idle_time of the spider {spider.name}", own) or None
    if (settings.getpriority(name) or 0) > SETTINGS_PRIORITIES["default"]:
        return at_least(settings.getfloat, name, 0) or None
    return None if isinstance(spider, RedisMixin) else 0


def _start_urls(spider: Spider, settings: BaseSettings, crawl: str) -> tuple[str, ...]:
    """A crawl with a name of its own reads its own list only, so that crawls of a spider stay apart."""
    pattern = settings.get("REDIS_START_URLS_KEY") or defaults.START_URLS_KEY
    key = ensure_key("REDIS_START_URLS_KEY", pattern) % {"name": crawl}
    own = getattr(spider, "redis_key", None)
    if own and crawl == spider.name:
        own = ensure_key(f"redis_key of the spider {spider.name}", own)
        return tuple(dict.fromkeys((own % {"name": spider.name}, key)))
    return (key,)
