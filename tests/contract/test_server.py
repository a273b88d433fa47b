"""A Redis that is too old, or has not what was asked for, is told in a sentence at the start."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import redis

from crawlers.frontier import BadConnection, connect, examine, judge, refusal
from deploy.local.processes import LOOPBACK
from deploy.local.servers import redis_server
from tests.helpers import run_spider


@pytest.mark.parametrize(
    ("version", "right"),
    [
        ("5.0.14", False),
        ("6.0.16", False),
        ("6.2.0", True),
        ("7.2.4", True),
        ("255.255.255", True),
        ("?", True),
    ],
)
def test_a_redis_older_than_6_2_is_refused(version: str, right: bool) -> None:
    # Given what INFO says of a version, When it is looked at, Then one that lacks commands is named
    if right:
        assert judge({"redis_version": version}) == []
    else:
        with pytest.raises(
            BadConnection, match=f"Redis 6.2 or later, or Valkey, is needed, and this is {version}"
        ):
            judge({"redis_version": version})


async def test_what_a_real_redis_says_of_itself_is_looked_at(tmp_path: Path) -> None:
    # Given a Redis that drops keys when it is full, and keeps no file
    with redis_server(tmp_path / "redis", appendonly=False) as server:
        with redis.Redis.from_url(server.url) as admin:
            admin.config_set("maxmemory-policy", "allkeys-lru")
        # When it is looked at
        async with aclosing(connect({"REDIS_URL": server.url})) as client:
            said = await examine(client, "{crawl}:meta")
    # Then both are said, with what to do
    assert len(said) == 2
    assert "maxmemory-policy to noeviction, not allkeys-lru" in said[0]
    assert "appendonly to yes" in said[1]


async def _old_redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while (await reader.readline()).startswith(b"*"):
        name = (await reader.readline(), await reader.readline())[1].strip()
        writer.write(b"-ERR unknown command `" + name + b"`, with args beginning with: \r\n")
        await writer.drain()
        writer.close()
        return


async def test_a_redis_that_does_not_know_the_first_word_is_told_to_be_old() -> None:
    # Given a server that answers as Redis 5 does
    async with await asyncio.start_server(_old_redis, LOOPBACK, 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with aclosing(connect({"REDIS_URL": f"redis://{LOOPBACK}:{port}"})) as client:
            # When it is looked at
            with pytest.raises(redis.RedisError) as caught:
                await examine(client, "{crawl}:meta")
    # Then the sentence says what is needed
    assert "Redis 6.2 or later" in refusal(caught.value)


def test_a_database_that_is_not_there_ends_the_worker_with_a_sentence(tmp_path: Path, redis_url: str) -> None:
    # Given a database of too high a number
    settings: dict[str, Any] = {"SPIDER_MODULES": "tests.integration.spiders", "ITEM_PIPELINES": "{}"}
    env = {"REDIS_URL": f"{redis_url.rpartition('/')[0]}/77"}
    # When a worker starts
    ended = run_spider("plain", tmp_path, settings=settings, env=env)
    # Then it says so and fails
    assert "Redis has no database of the number in REDIS_URL or REDIS_DB" in ended.log
    assert (ended.status, "Traceback" in ended.log) == (1, False)
