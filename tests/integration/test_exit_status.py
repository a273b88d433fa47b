"""A process ends with 0 after an end that was wanted, and with 1 after any other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.local.practice_site import PracticeSite
from deploy.local.processes import free_port
from deploy.local.servers import redis_server
from tests.helpers import ROOT, run_spider, start_spider, wait_until

PASSWORD = "not-to-be-told"
PLAIN = {"SPIDER_MODULES": "tests.integration.spiders", "ITEM_PIPELINES": "{}", "DOWNLOAD_DELAY": 0}


@pytest.fixture
def options(tmp_path: Path, redis_url: str, practice_site: PracticeSite, crawl_name: str) -> dict[str, Any]:
    """A spider of one page."""
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name, "url": f"{practice_site.url}traps/leaf/one"},
        "settings": dict(PLAIN),
        "env": {"REDIS_URL": redis_url},
    }


MEMORY = {"MEMUSAGE_LIMIT_MB": 1, "MEMUSAGE_CHECK_INTERVAL_SECONDS": 0.05, "MAX_IDLE_TIME_BEFORE_CLOSE": 0}
LIMIT = {"CLOSESPIDER_TIMEOUT": 0.5, "MAX_IDLE_TIME_BEFORE_CLOSE": 0}
ENDS: list[tuple[str, dict[str, Any], int, str]] = [
    # what happens, settings, status, reason
    ("nothing", {}, 0, "finished"),
    ("raises", {"FRONTIER_MAX_ATTEMPTS": 1}, 0, "finished"),
    ("SIGTERM", {}, 0, "shutdown"),
    ("SIGINT", {}, 0, "shutdown"),
    ("callback", {}, 0, "frontier_error"),
    ("callback", {"FRONTIER_LEAN": False}, 0, "frontier_error"),
    ("start", {}, 0, "memusage_exceeded"),
    ("idle", {}, 0, "enough of it"),
    ("opened", {}, 0, "not today"),
    ("nothing", LIMIT, 0, "closespider_timeout"),
    ("nothing", MEMORY, 1, "memusage_exceeded"),
    ("start raises", {}, 1, "start_error"),
    ("reason", {}, 1, "a_reason_of_its_own"),
    ("stop", {}, 1, "shutdown"),  # as Scrapy's engine does after an error of its own
]


@pytest.mark.parametrize(
    ("way", "settings", "status", "reason"), ENDS, ids=[f"{way}-{reason}" for way, _, _, reason in ENDS]
)
def test_the_exit_status_tells_whether_the_end_was_wanted(
    way: str, settings: dict[str, Any], status: int, reason: str, options: dict[str, Any]
) -> None:
    # Given a spider that ends in this way
    options["arguments"]["way"] = way
    options["settings"] |= settings
    # When it runs
    ended = run_spider("ends", **options)
    # Then its status says so, and where it isn't 0 the log says why
    assert (ended.status, ended.reason) == (status, reason), ended.log
    assert ("This crawl did not end as it should" in ended.log) == bool(status)


def test_a_second_signal_ends_with_1(options: dict[str, Any]) -> None:
    # Given a spider that waits for a page after a first SIGTERM
    options["arguments"] |= {
        "way": "nothing",
        "url": options["arguments"]["url"].replace("leaf/one", "never"),
    }
    with start_spider("ends", **options) as spider:
        wait_until(lambda: "Joined the crawl" in spider.log_text)
        wait_until(lambda: "Reading start URLs" in spider.log_text)
        spider.interrupt()
        wait_until(lambda: "Closing spider" in spider.log_text)
        # When a second one comes
        spider.interrupt()
        # Then it fails
        assert spider.end().status == 1


def test_a_redis_that_is_gone_at_the_end_ends_with_1(options: dict[str, Any], tmp_path: Path) -> None:
    # Given a worker whose Redis goes away for good
    with redis_server(tmp_path / "redis") as server:
        options["env"]["REDIS_URL"] = server.url
        options["arguments"]["way"] = "nothing"
        options["settings"] |= {"MAX_IDLE_TIME_BEFORE_CLOSE": 0, "FRONTIER_PATIENCE_S": 0.5}
        with start_spider("ends", **options) as spider:
            wait_until(lambda: "Parsed" in spider.log_text)
            server.stop()
            # When it is interrupted
            spider.interrupt()
            # Then it has not ended as it should
            assert spider.end().status == 1


@pytest.mark.parametrize("patience_s", [0, 1])
def test_a_mongodb_that_is_away_at_start_ends_with_1_before_anything_is_leased(
    patience_s: float, options: dict[str, Any]
) -> None:
    # Given no MongoDB where the items are to go
    options["env"]["MONGO_URI"] = f"mongodb://me:{PASSWORD}@127.0.0.1:{free_port()}/"
    options["arguments"]["way"] = "nothing"
    options["settings"] |= {"MONGO_PATIENCE_S": patience_s, "MONGO_TIMEOUT_S": 1}
    del options["settings"]["ITEM_PIPELINES"]
    # When a worker starts
    ended = run_spider("ends", **options)
    # Then it says so without the password and ends, and has joined nothing
    assert ended.status == 1
    assert f"Gave up after {patience_s} s: see MONGO_PATIENCE_S" in ended.log
    assert "Joined the crawl" not in ended.log
    assert PASSWORD not in ended.log
    assert "Traceback" not in ended.log


def test_a_redis_that_is_gone_while_a_page_needs_it_keeps_nobody_from_ending(
    options: dict[str, Any], tmp_path: Path
) -> None:
    # Given a page under way that will wait for Redis, beside the queue
    with redis_server(tmp_path / "redis") as server:
        options["env"]["REDIS_URL"] = server.url
        options["arguments"] |= {"way": "download", "gone": str(tmp_path / "gone")}
        options["settings"] |= {"MAX_IDLE_TIME_BEFORE_CLOSE": 0, "FRONTIER_PATIENCE_S": 0.5}
        with start_spider("ends", **options) as spider:
            wait_until(lambda: "Parsed" in spider.log_text)
            # And a Redis that has gone
            server.stop()
            (tmp_path / "gone").touch()
            wait_until(lambda: "Redis can't be reached" in spider.log_text)
            # When the worker is interrupted
            spider.interrupt()
            # Then it ends, and not as it should
            ended = spider.end(20)
            assert ended.status == 1
            assert "Others take over what this worker held" in ended.log


def test_runspider_tells_the_same(options: dict[str, Any]) -> None:
    # Given a spider in a file of its own that ends for a reason of its own
    command = [sys.executable, "-m", "scrapy", "runspider", "tests/integration/spiders/ends.py"]
    for name, value in {**options["arguments"], "way": "start raises"}.items():
        command += ["-a", f"{name}={value}"]
    command += ["-s", "ITEM_PIPELINES={}", "-s", f"REDIS_URL={options['env']['REDIS_URL']}"]
    # When it runs, Then its status says so
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60).returncode == 1
