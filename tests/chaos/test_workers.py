"""Workers die and freeze; every page is still crawled, and stored once."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

from deploy.local.practice_site import PracticeSite
from tests.helpers import RunningSpider, start_spider, wait_until

PAGES = 1000


@pytest.fixture
def options(
    redis_url: str,
    mongo_uri: str,
    practice_site: PracticeSite,
    tmp_path: Path,
    crawl_name: str,
    database: str,
) -> dict[str, Any]:
    """Workers of the `pages` spider on the practice site's graph, whose leases end after 2 s."""
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name, "url": f"{practice_site.url.rstrip('/')}/graph/0"},
        "settings": {"FRONTIER_LEASE_TTL_S": 2},
        "env": {"REDIS_URL": redis_url, "MONGO_URI": mongo_uri, "MONGO_DATABASE": database},
    }


def start_fleet(stack: ExitStack, options: dict[str, Any]) -> list[RunningSpider]:
    """Three workers."""
    return [stack.enter_context(start_spider("pages", **options)) for _ in range(3)]


def meta(client: redis.Redis, crawl: str, name: str) -> int:
    """One of the counters of a crawl."""
    return int(client.hget(f"{{{crawl}}}:meta", name) or 0)


def holds(client: redis.Redis, crawl: str, worker: RunningSpider) -> bool:
    """Whether a worker has something leased."""
    keys = client.keys(f"{{{crawl}}}:*:leases:*:{worker.pid}:*")
    return bool(keys) and client.hlen(keys[0]) > 0


def assert_complete(client: redis.Redis, crawl: str, documents: list[dict[str, Any]], site: str) -> None:
    """Every page is in MongoDB, once, and the counters add up with nothing left over."""
    assert sorted(document["url"] for document in documents) == sorted(
        f"{site}graph/{page}" for page in range(PAGES)
    )
    left = {name: meta(client, crawl, name) for name in ("queued", "leased", "dead", "reaped")}
    assert (left["queued"], left["leased"], left["dead"]) == (0, 0, 0)
    assert meta(client, crawl, "enqueued") == meta(client, crawl, "done")


def test_kill_9_of_one_of_three_workers_loses_no_page(
    options: dict[str, Any],
    practice_site: PracticeSite,
    redis_client: redis.Redis,
    mongo_client: pymongo.MongoClient[dict[str, object]],
    crawl_name: str,
    database: str,
) -> None:
    with ExitStack() as stack:
        # Given three workers in the middle of a crawl
        fleet = start_fleet(stack, options)
        wait_until(lambda: meta(redis_client, crawl_name, "done") > PAGES // 4, 60)
        wait_until(lambda: holds(redis_client, crawl_name, fleet[0]), 60)

        # When one is killed with what it holds
        fleet[0].kill()

        # Then the others crawl the rest and end by themselves
        for worker in fleet[1:]:
            assert "Spider closed (finished)" in worker.end().log
    assert meta(redis_client, crawl_name, "reaped") == 1
    documents = list(mongo_client[database]["pages"].find())
    assert_complete(redis_client, crawl_name, documents, practice_site.url)


def test_a_worker_that_was_frozen_for_longer_than_its_lease_changes_nothing_and_comes_back(
    options: dict[str, Any],
    practice_site: PracticeSite,
    redis_client: redis.Redis,
    mongo_client: pymongo.MongoClient[dict[str, object]],
    crawl_name: str,
    database: str,
) -> None:
    with ExitStack() as stack:
        # Given three workers in the middle of a crawl
        fleet = start_fleet(stack, options)
        wait_until(lambda: meta(redis_client, crawl_name, "done") > PAGES // 10, 60)
        wait_until(lambda: holds(redis_client, crawl_name, fleet[0]), 60)

        # When one is stopped for so long that its leases go to others, and then goes on
        fleet[0].pause()
        wait_until(lambda: meta(redis_client, crawl_name, "reaped") == 1, 60)
        fleet[0].resume()

        # Then all end by themselves, the frozen one under a new name
        logs = [worker.end().log for worker in fleet]
    assert "was taken for dead" in logs[0]
    assert all("Spider closed (finished)" in log for log in logs)
    documents = list(mongo_client[database]["pages"].find())
    assert_complete(redis_client, crawl_name, documents, practice_site.url)
