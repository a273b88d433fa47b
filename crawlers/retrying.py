"""Repeating a call until Redis answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    RedisError,
    ResponseError,
    TimeoutError,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
# Answers of a server that can't serve now and may later, and what to do about each.
_REFUSALS = {
    "OutOfMemory": "Redis is full: raise its maxmemory or free some",  # redis-py's name for OOM
    "READONLY": "Redis is a read-only replica: point REDIS_URL at the primary",
    "LOADING": "Redis is loading its data",
    "BUSY": "Redis is busy with a script",
    "MISCONF": "Redis can't write to its disk: free some or see its log",
    "MASTERDOWN": "Redis has lost its primary",
    "TRYAGAIN": "Redis Cluster is moving the crawl to another node",
    "CLUSTERDOWN": "Redis Cluster is down",
    "NOPERM": "Redis denies a command or key: see its ACL",
    "NOREPLICAS": "Redis has too few replicas",
}


class RedisUnreachable(Exception):
    """Redis did not answer for as long as was to be waited; the text says why."""


def _why(error: RedisError | OSError) -> str | None:
    """What to tell of an `error` after which a repetition may help; None for any other."""
    if isinstance(error, AuthenticationError):
        return "Redis denies the user or password: see REDIS_URL or REDIS_PARAMS"
    if isinstance(error, (ConnectionError, TimeoutError, OSError)):
        return f"Redis can't be reached: {str(error).rstrip('.')}"
    for code, text in _REFUSALS.items():
        if isinstance(error, ResponseError) and code.lower() in _code_of(error):
            return text
    return None


def _code_of(error: ResponseError) -> str:
    return f"{type(error).__name__} {str(error)[:200]}".lower()


async def until_redis_answers(call: Callable[[], Awaitable[T]], patience_s: float | None = None) -> T:
    """The outcome of `call`, repeated while Redis can't be reached or refuses to write.

    Says so once when it begins and once when it is over. Raises :class:`RedisUnreachable` after
    `patience_s`; None waits for ever. Other errors pass.
    """
    loop = asyncio.get_running_loop()
    began, pause_s, said = loop.time(), _FIRST_PAUSE_S, ""
    while True:
        try:
            outcome = await call()
        except (RedisError, OSError) as error:
            why = _why(error)
            if why is None:
                raise
            if patience_s is not None and loop.time() - began >= patience_s:
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
