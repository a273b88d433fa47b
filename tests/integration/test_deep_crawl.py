"""Workers of Scrapy whose crawl is larger than what may stay in Redis, or than Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

from deploy.local.practice_site import PracticeSite
from deploy.local.servers import RedisServer, redis_server
from tests.helpers import start_spider, wait_until

PAGES = 1000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, which may be filled."""
    with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """A connection to it."""
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def options(
    practice_site: PracticeSite, tmp_path: Path, server: RedisServer, mongo_uri: str, database: str
) -> dict[str, Any]:
    """What every worker needs."""
    return {
        "folder": tmp_path,
        "arguments": {"crawl": "deep", "url": f"{practice_site.url}graph/0", "allow": "/graph/"},
        "settings": {
            "FRONTIER_QUEUED_IN_REDIS": 50,
            "FRONTIER_QUEUE_CHUNK": 20,
            "FRONTIER_LEASE_TTL_S": 2,
            "CONCURRENT_REQUESTS": 8,
        },
        "env": {"REDIS_URL": server.url, "MONGO_URI": mongo_uri, "MONGO_DATABASE": database},
    }


def stored(mongo: pymongo.MongoClient[dict[str, object]], database: str) -> int:
    """How many pages are in MongoDB."""
    return mongo[database]["pages"].count_documents({})


def meta(client: redis.Redis, name: str) -> int:
    """One of the counters of the crawl."""
    value: Any = client.hget("{deep}:meta", name)
    return int(value or 0)


def test_two_workers_one_of_them_killed_crawl_what_is_out_of_redis(
    options: dict[str, Any],
    client: redis.Redis,
    mongo_client: pymongo.MongoClient[dict[str, object]],
    database: str,
) -> None:
    # Given a site of which more is found than may stay in Redis, and two workers
    with ExitStack() as stack:
        first, second = (stack.enter_context(start_spider("pages", **options)) for _ in range(2))
        wait_until(lambda: meta(client, "out") > 100, 60)
        mover: Any = client.get("{deep}:mover")
        # When the one that moves is killed
        (killed,) = (w for w in (first, second) if str(w.pid) == mover.decode().split(":")[1])
        killed.kill()
        (other,) = (w for w in (first, second) if w is not killed)
        ended = other.end(120)
        # Then the other takes that over as well, and every page is stored
        assert ended.status == 0
        assert stored(mongo_client, database) == PAGES
        assert [meta(client, name) for name in ("queued", "leased", "out")] == [0, 0, 0]
        assert "Traceback" not in ended.log


def test_a_worker_takes_nothing_more_while_redis_is_nearly_full(
    options: dict[str, Any],
    client: redis.Redis,
    mongo_client: pymongo.MongoClient[dict[str, object]],
    database: str,
) -> None:
    # Given a crawl under way, of which nothing may leave Redis
    options["settings"] |= {"FRONTIER_QUEUED_IN_REDIS": 0, "DOWNLOAD_DELAY": 0.005}
    with start_spider("pages", **options) as worker:
        wait_until(lambda: meta(client, "done") > 20, 60)
        # When Redis is nearly full
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.95))
        wait_until(lambda: "Redis is 9" in worker.log_text)
        wait_until(lambda: meta(client, "leased") == 0)
        done, queued = meta(client, "done"), meta(client, "queued")
        # Then one sentence says what to do, nothing is leased, and the crawl doesn't end for that
        assert "Raise its maxmemory, or set FRONTIER_QUEUED_IN_REDIS" in worker.log_text
        assert queued > 0
        assert worker.running
        # And it goes on once there is room
        client.config_set("maxmemory", 0)
        assert meta(client, "done") == done
        assert worker.end(120).status == 0
        assert stored(mongo_client, database) == PAGES
        assert worker.log_text.count("Redis is ") == 2
