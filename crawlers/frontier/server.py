"""What a Redis must be for a frontier, and what to say of one that isn't."""

from __future__ import annotations

from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import MovedError, RedisError, ResponseError

from .connection import Client
from .exceptions import BadConnection

OLDEST = (6, 2)
"""LPOP with a count, ZRANGE BYSCORE, SMISMEMBER and HRANDFIELD came with it. Valkey says 7.2 and later."""

_TOO_OLD = "Redis 6.2 or later, or Valkey, is needed"


def refusal(error: RedisError) -> str:
    """A sentence about an `error` that no repetition helps."""
    text = str(error)
    if isinstance(error, MovedError):
        return "Redis is a cluster: write REDIS_URL as redis+cluster://host:6379"
    if "db index" in text.lower():
        return "Redis has no database of the number in REDIS_URL or REDIS_DB: most have 0 to 15"
    if "unknown command" in text.lower():
        return f"{_TOO_OLD}, and this one says: {text[:200]}"
    if text.startswith("WRONGTYPE"):
        return "a key of the crawl holds something else, of another program: use -a crawl=NAME"
    return f"Redis can't be used ({type(error).__name__}: {text[:200]})"


async def examine(client: Client, key: str) -> list[str]:
    """What endangers a crawl on the Redis with `key`, a sentence each; none where it doesn't tell.

    Raises :class:`BadConnection` for one that is too old, and redis-py's errors.
    """
    try:
        info = await _info(client, key)
    except ResponseError as error:  # an ACL, or a service that has no INFO
        if "unknown command" in str(error).lower() and "info" not in str(error).lower():
            raise
        return []
    return judge(info)


async def _info(client: Client, key: str) -> dict[str, Any]:
    if isinstance(client, RedisCluster):
        await client.initialize()  # before, it knows of no slot
        return dict(await client.info(target_nodes=client.get_node_from_key(key)))
    return dict(await client.info())


def judge(info: dict[str, Any]) -> list[str]:
    """The same of what INFO says. Raises :class:`BadConnection` for a version that is too old."""
    version = str(info.get("redis_version", ""))
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if len(parts) == 2 and parts < OLDEST:
        raise BadConnection(f"{_TOO_OLD}, and this is {version}")
    said = []
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        said.append(
            f"Redis drops parts of the crawl when full: set maxmemory-policy to noeviction, not {policy}"
        )
    if str(info.get("aof_enabled", "1")) == "0":
        said.append("Redis keeps no append-only file: its restart loses the crawl. Set appendonly to yes")
    return said
