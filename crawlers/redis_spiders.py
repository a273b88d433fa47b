"""Spiders of scrapy-redis' classes: which of their methods are their own, and how these are called.

| a spider's own | what becomes of it |
| --- | --- |
| `make_request_from_data` | called for each entry of its list |
| `next_requests` | called while nothing is queued; its `fetch_data` hands over one claimed entry at a time |
| `fetch_data`, `pop_list_queue`, `pop_priority_queue` | called in a thread in place of a claim |
| `setup_redis` that sets another `server` | the same: entries are taken from there, without a claim |
| `schedule_next_requests`, `spider_idle` | called when the crawl has nothing left to do |

An entry that was claimed survives its worker. One that the spider has taken by itself is lost with a worker
that dies before its request is queued.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import redis
import scrapy_redis
from pydispatch.errors import DispatcherKeyError
from scrapy import signals
from scrapy_redis.spiders import RedisMixin

from crawlers.frontier import BLOCKING, client_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request, Spider

logger = logging.getLogger(__name__)

# A client of scrapy-redis is the frontier's where these agree.
_PLACE = ("host", "port", "db", "path")


class AnyRedis(redis.Redis):
    """The client that scrapy-redis makes where no `redis_cls` is set: it knows sentinels and clusters."""

    @classmethod
    def from_url(cls, url: str, **params: Any) -> Any:
        """A blocking client for all that REDIS_URL may be. Raises what redis-py raises."""
        if "+" not in urlsplit(url).scheme:
            return redis.Redis.from_url(url, **params)
        params.pop("retry_on_timeout", None)  # clients of several servers don't know it
        return client_of(url, params, BLOCKING)


def share_redis_settings() -> None:
    """From now on scrapy-redis' classes reach each Redis that the frontier reaches."""
    scrapy_redis.defaults.REDIS_CLS = AnyRedis


class OwnReading(Protocol):
    """How a spider reads its list by methods of its own."""

    key: str
    claims: bool
    """Entries are claimed for it, rather than taken by itself."""
    maker: str
    """The name of the method that makes requests of entries."""

    async def more(self) -> list[Any]:
        """What it has read by itself: entries as bytes, or requests. Raises what the spider raises."""


class OwnFetch:
    """A spider that takes entries off its list by a `fetch_data` of its own."""

    claims = False
    maker = "make_request_from_data"

    def __init__(self, spider: Any) -> None:
        self.key = spider.redis_key
        self._fetch, self._batch = spider.fetch_data, spider.redis_batch_size
        _warn_of_taking(self.key)

    async def more(self) -> list[Any]:
        """The next entries. A wait for Redis holds up a thread, not the crawl."""
        return list(await asyncio.to_thread(self._fetch, self.key, self._batch) or ())


class OwnRequests:
    """A spider that makes its requests by a `next_requests` of its own.

    Where that asks `fetch_data` for entries, it is given those that were claimed, one at a time. Its first
    call tells. Where it takes them by itself, as one that has a `fetch_data` of its own does, nothing is
    claimed.
    """

    maker = "next_requests"

    def __init__(self, spider: Any) -> None:
        self.key, self.claims = spider.redis_key, False
        self._next = spider.next_requests
        self._entries: list[bytes] = []
        if _has_own_fetch(spider):
            _warn_of_taking(self.key)
        else:
            spider.fetch_data = self._hand_over

    def _hand_over(self, _key: str, _batch: int) -> list[bytes]:
        self.claims = True
        entries, self._entries = self._entries, []
        return entries

    def made(self, *entries: bytes) -> list[Request]:
        """The requests made of `entries`, or without any of whatever else it reads. Raises what it raises."""
        self._entries = list(entries)
        return list(self._next() or ())

    async def more(self) -> list[Any]:
        """Requests that no entry of ours is behind. Its own calls to Redis block, as with scrapy-redis."""
        return self.made()


def own_reading(spider: Spider) -> OwnReading | None:
    """How `spider` reads its list where it has methods of its own for that."""
    if not isinstance(spider, RedisMixin):
        return None
    if type(spider).next_requests is not RedisMixin.next_requests:
        return OwnRequests(spider)
    return OwnFetch(spider) if _has_own_fetch(spider) else None


def own_maker(spider: Spider, reading: OwnReading | None) -> Callable[[bytes], Any] | None:
    """What makes requests of an entry where the spider has something of its own for that."""
    if isinstance(reading, OwnRequests):
        return reading.made
    own = getattr(type(spider), "make_request_from_data", None)
    if own is None or own is RedisMixin.make_request_from_data:
        return None
    return spider.make_request_from_data  # type: ignore[attr-defined,no-any-return]


def _warn_of_taking(key: str) -> None:
    logger.warning(
        "The spider takes entries of %s by itself: one that it has taken is lost with a worker that dies"
        " before its request is queued",
        key,
    )


def _has_own_fetch(spider: Any) -> bool:
    """Whether the spider takes entries off its list in a way, or from a Redis, of its own."""
    fetch = getattr(spider, "fetch_data", None)
    if fetch is None:
        return False
    server = getattr(spider, "server", None)
    stock = (RedisMixin.pop_list_queue, RedisMixin.pop_priority_queue)
    is_stock = getattr(fetch, "__func__", None) in stock or fetch == getattr(server, "spop", None)
    return not is_stock or _is_elsewhere(server, spider.settings)


def _is_elsewhere(server: Any, settings: Any) -> bool:
    """Whether `server` is another Redis than that of the settings."""
    usual = scrapy_redis.connection.from_settings(settings)
    return type(server) is not type(usual) or _place(server) != _place(usual)


def _place(client: Any) -> list[Any]:
    pool = getattr(client, "connection_pool", None)  # a cluster's client has none
    known = getattr(pool, "connection_kwargs", {})
    return [known.get(name) for name in _PLACE]


def stop_reading_when_idle(spider: Any) -> None:
    """scrapy-redis' own methods read the list when idle, and block the reactor while they do; what the spider
    has of its own is called as ever.
    """
    if not isinstance(spider, RedisMixin):
        return
    spider.count_size = lambda _key: 0
    if type(spider).schedule_next_requests is not RedisMixin.schedule_next_requests:
        return
    spider.schedule_next_requests = lambda: None
    if type(spider).spider_idle is RedisMixin.spider_idle:
        with suppress(DispatcherKeyError):  # a `setup_redis` of its own need not have connected it
            spider.crawler.signals.disconnect(spider.spider_idle, signals.spider_idle)


def as_requests(made: Any) -> list[Request]:
    """What `make_request_from_data` returns, which may be one request, several or none."""
    if made is None:
        return []
    return list(made) if isinstance(made, Iterable) else [made]
