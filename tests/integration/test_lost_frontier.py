"""A worker whose frontier is lost says what was lost, and doesn't end as finished."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.practice_site import PracticeSite
from deploy.local.servers import RedisServer, redis_server
from tests.helpers import ROOT, start_spider, wait_until

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


_PAGES = 12


class _Crawl:
    """A crawl of one worker whose run MongoDB remembers, and `scrapy frontier` for it."""

    def __init__(self, server: RedisServer, site: PracticeSite, mongo: dict[str, str], folder: Path) -> None:
        self.env = {"REDIS_URL": server.url, **mongo}
        self.options: dict[str, Any] = {
            "folder": folder,
            "arguments": {"crawl": "lost", "url": f"{site.url}graph/0", "allow": "/graph/"},
            "settings": {"DOWNLOAD_DELAY": 0.05, "FRONTIER_LEASE_TTL_S": 5},
            "env": self.env,
        }
        self._url = server.url

    def interrupt(self, **settings: Any) -> str:
        """Lets a worker crawl some pages, and stops it as an operator does. Returns its log."""
        options = {**self.options, "settings": {**self.options["settings"], **settings}}
        with (
            redis.Redis.from_url(self._url) as client,
            start_spider("pages", **options) as worker,
        ):
            wait_until(lambda: int(client.hget("{lost}:meta", "done") or 0) >= _PAGES)
            worker.interrupt()
            return worker.end(30).log

    def frontier(self, *words: str) -> tuple[int, str]:
        """The exit status of `scrapy frontier WORDS`, and what it says."""
        ended = subprocess.run(
            [sys.executable, "-m", "scrapy", "frontier", *words],
            cwd=ROOT,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture
def crawl(
    server: RedisServer, practice_site: PracticeSite, mongo_uri: str, database: str, tmp_path: Path
) -> _Crawl:
    """An interrupted crawl."""
    mongo = {"MONGO_URI": mongo_uri, "MONGO_DATABASE": database}
    crawl = _Crawl(server, practice_site, mongo, tmp_path)
    assert "MongoDB remembers" not in crawl.interrupt()
    return crawl


def test_a_fleet_that_starts_on_an_empty_redis_says_what_was_lost(crawl: _Crawl, server: RedisServer) -> None:
    # Given a crawl that was interrupted, of which Redis knows how far it is
    status, said = crawl.frontier("check")
    assert (status, "Go on: run 1 with " in said) == (0, True), said
    # When Redis is emptied
    _flush(server)
    # Then `check` says so, also without the crawl's name
    status, said = crawl.frontier("check")
    assert (status, "Lost: MongoDB remembers run 1 with " in said) == (1, True), said
    status, said = crawl.frontier("check", "--json", "--crawl", "lost")
    assert (status, json.loads(said)["verdict"]["go_on"]) == (1, False)
    # And so does the next worker, which starts anew; then that run is the one to go on with
    log = crawl.interrupt()
    assert "CRITICAL: Of the crawl 'lost' MongoDB remembers run 1 with " in log
    assert crawl.frontier("check")[0] == 0


def test_what_an_operator_gave_up_is_not_said_to_be_lost(crawl: _Crawl, server: RedisServer) -> None:
    # Given a crawl that is cleared after Redis was emptied
    _flush(server)
    assert crawl.frontier("clear", "--yes")[0] == 0
    # When a worker starts, Then it says nothing; nor does one that is told to flush
    assert "MongoDB remembers" not in crawl.interrupt()
    _flush(server)
    assert "MongoDB remembers" not in crawl.interrupt(SCHEDULER_FLUSH_ON_START=True)


def test_counters_that_went_back_are_seen_against_mongodb(crawl: _Crawl, server: RedisServer) -> None:
    # Given a crawl of which Redis is restored from an older copy
    with redis.Redis.from_url(server.url) as client:
        client.hset("{lost}:meta", "done", 1)
    # When it is checked, Then the verdict says how far it went back
    status, said = crawl.frontier("check", "--repair")
    assert status == 1
    assert "this Redis went back to run 1 with " in said
