"""A client for Redis from scrapy-redis' own settings, with its precedence.

| setting | meaning |
| --- | --- |
| `REDIS_URL` | `redis://`, `rediss://` (TLS), `unix://`; and for several servers |
| | `redis+sentinel://[user:password@]host:port[,host:port]/service[/db]` |
| | `redis+cluster://[user:password@]host:port` (`rediss+…` for TLS) |
| `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB` | what `REDIS_URL` leaves open |
| `REDIS_PARAMS` | keyword arguments of redis-py's client: `password`, `username`, `ssl_ca_certs`, …; what |
| | both of the above leave open. `sentinel_kwargs`: those of the clients that ask sentinels, such as their |
| | own `password`; without, they use TLS as the primary does, and no password |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import redis
from redis import retry as blocking_retry
from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from .exceptions import BadConnection

Client = Redis | RedisCluster

# A stalled server is noticed after this long; the exchange is then repeated on a new connection.
_DEFAULTS: dict[str, Any] = {"socket_timeout": 10.0, "socket_connect_timeout": 5.0}
# Parameters of scrapy-redis that have no meaning here: bytes are bytes, and repeating is the worker's.
_IGNORED = ("redis_cls", "encoding", "decode_responses", "retry_on_timeout", "url")

_BAD_URL = (
    "REDIS_URL can't be used: write it as redis://user:password@host:6379/0, special characters of the"
    " password as %-codes; rediss, unix, redis+sentinel and redis+cluster may stand for redis"
)


def _params(settings: Mapping[str, Any]) -> dict[str, Any]:
    given = settings.get("REDIS_PARAMS") or {}
    try:  # on a command line it is JSON
        params = {**_DEFAULTS, **(json.loads(given) if isinstance(given, str) else given)}
    except (TypeError, ValueError):
        raise BadConnection('REDIS_PARAMS must be a map, as {"password": "…"}') from None
    for name in ("host", "port", "db"):
        # As in scrapy-redis, 0 is as good as not set: it leaves the value to REDIS_PARAMS.
        if value := settings.get(f"REDIS_{name.upper()}"):
            params[name] = value
        if name != "host" and name in params:
            params[name] = _number(f"REDIS_{name.upper()}", params[name])
    return params


def _number(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadConnection(f"{name} must be a number, not {value!r}") from None


def connect(settings: Mapping[str, Any]) -> Client:
    """A client for the Redis that `settings` name. It connects when it is first used.

    Raises :class:`BadConnection` where the settings don't make sense. No text of it holds a password.
    """
    params = _params(settings)
    url = settings.get("REDIS_URL") or params.get("url")
    params = {name: value for name, value in params.items() if name not in _IGNORED}
    try:
        client: Client = client_of(url, params, _ASYNC)
        if isinstance(client, Redis):
            # Rejects what it doesn't know; it does not connect.
            client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except TypeError as error:
        raise BadConnection(f"REDIS_PARAMS, or what follows ? in REDIS_URL, can't be used: {error}") from None
    except (ValueError, RedisError):  # whose texts may show a part of the password
        raise BadConnection(_BAD_URL if url else "REDIS_PARAMS has a value that can't be used") from None
    return client


class _Primary(Redis):
    """A client for the primary that sentinels know. Closing it closes the connections to them as well."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Closes the connections to the primary and to the sentinels."""
        await super().aclose(close_connection_pool)
        pool: Any = self.connection_pool
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


class Kinds(NamedTuple):
    """The classes of redis-py that clients are made of: those of asyncio, or those that block."""

    single: Any
    primary: Any
    cluster: Any
    sentinel: Any
    retry: Any

    def no_retry(self) -> Any:
        """redis-py 8 repeats a command 10 times by itself; a whole exchange is repeated instead."""
        return self.retry(NoBackoff(), 0)


_ASYNC = Kinds(Redis, _Primary, RedisCluster, Sentinel, Retry)
BLOCKING = Kinds(redis.Redis, redis.Redis, redis.RedisCluster, redis.Sentinel, blocking_retry.Retry)


def client_of(url: str | None, params: dict[str, Any], kinds: Kinds) -> Any:
    """A client of these `kinds` for `url`; `params` say what that leaves open, as redis-py reads both."""
    if not url:
        return kinds.single(retry=kinds.no_retry(), **params)
    parts = urlsplit(url)
    if parts.scheme == "unix":
        params = {name: value for name, value in params.items() if name not in {"host", "port"}}
    if parts.scheme in {"redis+sentinel", "rediss+sentinel"}:
        return _by_sentinel(parts, params, kinds)
    if parts.scheme in {"redis+cluster", "rediss+cluster"}:
        return _cluster(url, params, kinds)
    return kinds.single.from_url(url, retry=kinds.no_retry(), **params)


def _cluster(url: str, params: dict[str, Any], kinds: Kinds) -> Any:
    params = {name: value for name, value in params.items() if name not in {"host", "port"}}
    if params.pop("db", 0):
        raise BadConnection("REDIS_DB must be 0 or not set: a Redis Cluster has no other database")
    return kinds.cluster.from_url(url.replace("+cluster", "", 1), retry=kinds.no_retry(), **params)


def _by_sentinel(parts: SplitResult, params: dict[str, Any], kinds: Kinds) -> Any:
    """The primary that the sentinels of `redis+sentinel://…` know under the URL's service name."""
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise BadConnection("REDIS_URL lacks the service: redis+sentinel://host:26379/mymaster")
    params = {name: value for name, value in params.items() if name not in {"host", "port"}}
    own = params.pop("sentinel_kwargs", None) or {}
    if not isinstance(own, Mapping):
        raise BadConnection('sentinel_kwargs of REDIS_PARAMS must be a map, as {"password": "…"}')
    if db:
        params["db"] = int(db)
    credentials, _, addresses = parts.netloc.rpartition("@")
    for name, given in zip(("username", "password"), credentials.split(":", 1), strict=False):
        if given:
            params[name] = unquote(given)
    if parts.scheme.startswith("rediss"):
        params["ssl"] = True
    # How to reach a sentinel is as for the primary, who may ask it is the sentinel's own.
    shared = {name: value for name, value in params.items() if name in _DEFAULTS or name.startswith("ssl")}
    sentinel = kinds.sentinel(
        [_address(address) for address in addresses.split(",")],
        sentinel_kwargs={"retry": kinds.no_retry(), **shared, **own},
    )
    return sentinel.master_for(service, redis_class=kinds.primary, retry=kinds.no_retry(), **params)


def _address(address: str) -> tuple[str, int]:
    parts = urlsplit(f"//{address}")  # an IPv6 address has brackets
    return parts.hostname or "", parts.port or 26379
