"""A client for Redis from scrapy-redis' own settings.

| setting | meaning |
| --- | --- |
| `REDIS_URL` | `redis://`, `rediss://` (TLS), `unix://`; and for several servers |
| | `redis+sentinel://[user:password@]host:port[,host:port]/service[/db]` |
| | `redis+cluster://[user:password@]host:port` (`rediss+…` for TLS) |
| `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB` | used without `REDIS_URL` |
| `REDIS_PARAMS` | keyword arguments of redis-py's client: `password`, `username`, `ssl_ca_certs`, … |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

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


def _no_retry() -> Retry:
    """redis-py 8 repeats a command 10 times by itself; a whole exchange is repeated instead."""
    return Retry(NoBackoff(), 0)


def _params(settings: Mapping[str, Any]) -> dict[str, Any]:
    params = {**_DEFAULTS, **dict(settings.get("REDIS_PARAMS") or {})}
    for name in ("host", "port", "db"):
        value = settings.get(f"REDIS_{name.upper()}")
        if value not in (None, ""):
            params[name] = value if name == "host" else _number(f"REDIS_{name.upper()}", value)
    return {name: value for name, value in params.items() if name not in _IGNORED}


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
    url = settings.get("REDIS_URL") or (settings.get("REDIS_PARAMS") or {}).get("url")
    try:
        if not url:
            return Redis(retry=_no_retry(), **params)
        params = {k: v for k, v in params.items() if k not in {"host", "port", "db"}}
        parts = urlsplit(url)
        if parts.scheme in {"redis+sentinel", "rediss+sentinel"}:
            return _by_sentinel(parts, params)
        if parts.scheme in {"redis+cluster", "rediss+cluster"}:
            plain = url.replace("+cluster", "", 1)
            return RedisCluster.from_url(plain, retry=_no_retry(), **params)
        return Redis.from_url(url, retry=_no_retry(), **params)
    except (ValueError, TypeError, RedisError) as error:
        raise BadConnection(f"REDIS_URL or REDIS_PARAMS can't be used: {error}") from None


def _by_sentinel(parts: SplitResult, params: dict[str, Any]) -> Redis:
    """The primary that the sentinels of `redis+sentinel://…` know under the URL's service name."""
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise BadConnection("REDIS_URL lacks the service: redis+sentinel://host:26379/mymaster")
    username, _, password = credentials.partition(":")
    if username:
        params["username"] = unquote(username)
    if password:
        params["password"] = unquote(password)
    if parts.scheme.startswith("rediss"):
        params["ssl"] = True
    sentinels = []
    for address in hosts.split(","):
        host, _, port = address.partition(":")
        sentinels.append((host, _number("the port of a sentinel in REDIS_URL", port or 26379)))
    timeouts = {name: params[name] for name in _DEFAULTS}
    sentinel = Sentinel(sentinels, sentinel_kwargs=timeouts)  # type: ignore[no-untyped-call]
    primary: Redis = sentinel.master_for(
        service, db=_number("the db in REDIS_URL", db or 0), retry=_no_retry(), **params
    )
    return primary
