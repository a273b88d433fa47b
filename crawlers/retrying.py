"""Repeating a call until Redis answers."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    ClusterError,
    ConnectionError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
# Answers of a server that can't serve now and may later, as regular expressions, and what to do about each.
# An answer begins with its code; Redis 6 has it behind "Error running script …: -" where a script met it.
_REFUSALS = {
    "OOM": "Redis is full: raise its maxmemory or free some",
    "READONLY": "Redis is a read-only replica: point REDIS_URL at the primary",
    "LOADING": "Redis is loading its data",
    "BUSY|UNKILLABLE": "Redis is busy with a script",
    "ERR .*Script killed by user": "Redis was told to stop the script",
    "MISCONF": "Redis can't write to its disk: free some or see its log",
    "MASTERDOWN": "Redis has lost its primary",
    "UNBLOCKED": "Redis has become a replica",
    "TRYAGAIN|ASK|MOVED|(ERR )?.*[Aa]ttempted to access a non local key": (
        "Redis Cluster is moving the crawl to another node"
    ),
    "CLUSTERDOWN|(ERR )?.*[Aa]ttempted to .*while the cluster is": "Redis Cluster is down",
    "NOPERM": "Redis denies a command or key: see its ACL",
    "DENIED": "Redis is in protected mode: see its log",
    "NOREPLICAS": "Too few replicas of Redis have what was written",
}
_CODES = {
    re.compile(rf"(?:{codes})\b|ERR Error running script.*: -(?:{codes})\b"): why
    for codes, why in _REFUSALS.items()
}


class RedisUnreachable(Exception):
    """Redis did not answer for as long as was to be waited; the text says why."""


def _why(error: RedisError | RedisClusterException | OSError) -> str | None:
    """What to tell of an `error` after which a repetition may help; None for any other."""
    if isinstance(error, AuthenticationError):
        return "Redis denies the user or password: see REDIS_URL or REDIS_PARAMS"
    if isinstance(error, (ConnectionError, TimeoutError, OSError)):
        return f"Redis can't be reached: {str(error).rstrip('.')}"
    if isinstance(error, ClusterDownError):
        return "Redis Cluster is down"
    if isinstance(error, ClusterError):  # redis-py was sent from node to node, or told to try again, 16 times
        return "Redis Cluster is moving the crawl to another node"
    if isinstance(error, RedisClusterException):
        text = str(error)
        away = "cannot be connected" in text or "not covered" in text or "cluster slots" in text.lower()
        return f"Redis Cluster can't be reached: {text[:200]}" if away else None
    text = _answer_of(error)
    return next((why for codes, why in _CODES.items() if codes.match(text)), None)


def _answer_of(error: RedisError | RedisClusterException) -> str:
    """What Redis answered: redis-py takes off the codes that it knows."""
    code, text = getattr(error, "status_code", None), str(error)[:500]
    return f"{code} {text}" if code and isinstance(error, ResponseError) else text


async def until_redis_answers(
    call: Callable[[], Awaitable[T]], patience_s: float | Callable[[], float | None] | None = None
) -> T:
    """The outcome of `call`, repeated while Redis can't be reached or refuses to write.

    Says so once when it begins and once when it is over. Raises :class:`RedisUnreachable` after
    `patience_s`; None waits for ever. Where it is a function, time counts from when it first gives a number,
    as once the worker is closing. Other errors pass.
    """
    loop = asyncio.get_running_loop()
    began, pause_s, said = loop.time(), _FIRST_PAUSE_S, ""
    bounded_at = None
    while True:
        try:
            outcome = await call()
        except (RedisError, RedisClusterException, OSError) as error:
            why = _why(error)
            if why is None:
                raise
            most_s = patience_s() if callable(patience_s) else patience_s
            if most_s is not None:
                bounded_at = bounded_at or (loop.time() if callable(patience_s) else began)
                if loop.time() - bounded_at >= most_s:
                    raise RedisUnreachable(why) from None
            if why != said:
                logger.error("%s. Nothing is lost; trying again", why)
                said = why
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        else:
            if said:
                logger.info("Redis answers again after %.1f s", loop.time() - began)
            return outcome
