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

import json
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

_BAD_URL = (
    "REDIS_URL can't be used: write it as redis://user:password@host:6379/0, special characters of the"
    " password as %-codes; rediss, unix, redis+sentinel and redis+cluster may stand for redis"
)


def _no_retry() -> Retry:
    """redis-py 8 repeats a command 10 times by itself; a whole exchange is repeated instead."""
    return Retry(NoBackoff(), 0)


def _params(settings: Mapping[str, Any]) -> dict[str, Any]:
    given = settings.get("REDIS_PARAMS") or {}
    try:  # on a command line it is JSON
        params = {**_DEFAULTS, **(json.loads(given) if isinstance(given, str) else given)}
    except (TypeError, ValueError):
        raise BadConnection('REDIS_PARAMS must be a map, as {"password": "…"}') from None
    for name in ("host", "port", "db"):
        value = settings.get(f"REDIS_{name.upper()}")
        if value not in (None, ""):
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
        client = _client(url, params)
        if isinstance(client, Redis):
            # Rejects what it doesn't know; it does not connect.
            client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except TypeError as error:
        raise BadConnection(f"REDIS_PARAMS, or what follows ? in REDIS_URL, can't be used: {error}") from None
    except (ValueError, RedisError):  # whose texts may show a part of the password
        raise BadConnection(_BAD_URL if url else "REDIS_PARAMS has a value that can't be used") from None
    return client


def _client(url: str | None, params: dict[str, Any]) -> Client:
    if not url:
        return Redis(retry=_no_retry(), **params)
    params = {name: value for name, value in params.items() if name not in {"host", "port", "db"}}
    parts = urlsplit(url)
    if parts.scheme in {"redis+sentinel", "rediss+sentinel"}:
        return _by_sentinel(parts, params)
    if parts.scheme in {"redis+cluster", "rediss+cluster"}:
        plain = url.replace("+cluster", "", 1)
        return RedisCluster.from_url(plain, retry=_no_retry(), **params)
    return Redis.from_url(url, retry=_no_retry(), **params)


class _Primary(Redis):
    """A client for the primary that sentinels know. Closing it closes the connections to them as well."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Closes the connections to the primary and to the sentinels."""
        await super().aclose(close_connection_pool)
        pool: Any = self.connection_pool
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


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
        sentinels.append((host, int(port or 26379)))
    terms = {"retry": _no_retry(), **{name: params[name] for name in _DEFAULTS}}
    sentinel = Sentinel(sentinels, sentinel_kwargs=terms)  # type: ignore[no-untyped-call]
    primary: Redis = sentinel.master_for(
        service, redis_class=_Primary, db=int(db or 0), retry=_no_retry(), **params
    )
    return primary
