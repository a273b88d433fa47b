"""A worker whose frontier is lost says what was lost, and doesn't end as finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.practice_site import PracticeSite
from deploy.local.servers import RedisServer, redis_server
from tests.helpers import start_spider, wait_until

_YOUNG_S = 3.2  # a run that is younger is made good


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis without AOF."""
    with redis_server(tmp_path / "redis", appendonly=False) as server:
        yield server


def _flush(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()


def _restart(server: RedisServer) -> None:
    server.kill()
    server.start()


def _remove_queues(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        keys = [*client.scan_iter("*:requests:*"), *client.scan_iter("*:leases:*")]
        client.delete(*keys)


@pytest.mark.parametrize("lose", [_flush, _restart, _remove_queues])
def test_a_crawl_whose_frontier_is_lost_does_not_finish(
    lose: Callable[[RedisServer], None], server: RedisServer, practice_site: PracticeSite, tmp_path: Path
) -> None:
    # Given two workers amid a crawl
    options: dict[str, Any] = {
        "folder": tmp_path,
        "arguments": {"crawl": "lost", "url": f"{practice_site.url.rstrip('/')}/graph/0"},
        "settings": {
            "SPIDER_MODULES": "tests.integration.spiders",
            "DOWNLOAD_DELAY": 0.02,
            "FRONTIER_LEASE_TTL_S": 2,
        },
        "env": {"REDIS_URL": server.url},
    }
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(server.url))
        workers = [stack.enter_context(start_spider("graph", **options)) for _ in range(2)]
        wait_until(lambda: int(client.hget("{lost}:meta", "done") or 0) > 20)
        time.sleep(_YOUNG_S)
        # When its frontier is lost
        lose(server)
        ended = [worker.end(30) for worker in workers]
    # Then each says so at CRITICAL, with what it knew, and ends for that reason
    for worker in ended:
        assert worker.reason == "frontier_lost", worker.log[-3000:]
        assert "CRITICAL: " in worker.log
        assert "run 1 had" in worker.log
        assert "scrapy frontier check" in worker.log
        assert "taken for dead" not in worker.log
        assert "Traceback" not in worker.log
