"""A worker that is busy is not taken for dead: its lease is renewed beside its blocked loop."""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.practice_site import PracticeSite
from tests.helpers import run_spider, start_spider, wait_until

LEASE_S = 1.5
PAGES = 12
LIMIT = "FRONTIER_CALLBACK_LIMIT_S"


@pytest.fixture
def options(redis_url: str, practice_site: PracticeSite, tmp_path: Path, crawl_name: str) -> dict[str, Any]:
    """What every worker needs: a short lease, and one attempt, so that a death would show."""
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name, "url": practice_site.url, "seconds": 3 * LEASE_S},
        "settings": {
            "SPIDER_MODULES": "tests.integration.spiders",
            "FRONTIER_LEASE_TTL_S": LEASE_S,
            "FRONTIER_MAX_ATTEMPTS": 2,
            "ROBOTSTXT_OBEY": False,
        },
        "env": {"REDIS_URL": redis_url},
    }


def parsed(*logs: str) -> Counter[int]:
    """How often each page was parsed."""
    return Counter(int(n) for log in logs for n in re.findall(r"Parsed \S+/leaf/(\d+)", log))


def letters(client: redis.Redis, crawl: str) -> list[dict[str, str]]:
    """The dead letters of a crawl."""
    found: Any = client.xrange(f"{{{crawl}}}:dead")
    return [{k.decode(): v.decode(errors="replace") for k, v in fields.items()} for _, fields in found]


@pytest.mark.parametrize("way", ["sleep", "regex", "pipeline", "middleware"])
def test_who_is_blocked_for_longer_than_its_lease_keeps_it(
    way: str, options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a page that blocks its worker for three times the lease
    options["arguments"]["way"] = way

    # When two workers crawl
    with start_spider("blocking", **options) as one, start_spider("blocking", **options) as other:
        logs = [one.end().log, other.end().log]

    # Then each page is crawled once, by workers that are never taken for dead
    assert parsed(*logs) == dict.fromkeys(range(PAGES), 1)
    assert letters(redis_client, crawl_name) == []
    assert not any("frontier/fenced" in log for log in logs)
    # And who blocks whom is said once, with where it is
    warnings = [line for log in logs for line in log.splitlines() if "blocked its worker for" in line]
    assert len(warnings) == 1
    assert "/leaf/3 with callback Blocking.parse" in warnings[0]
    assert any("in block\n" in log for log in logs)


@pytest.mark.parametrize("way", ["sleep", "regex", "pipeline"])
def test_beyond_the_limit_the_page_that_blocks_is_blamed_and_its_neighbours_lose_nothing(
    way: str, options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a page that blocks its worker for longer than the limit
    options["arguments"] |= {"way": way, "seconds": 6 * LEASE_S}
    options["settings"] |= {LIMIT: 2 * LEASE_S, "FRONTIER_MAX_ATTEMPTS": 1}

    # When a worker crawls, and another beside it
    with start_spider("blocking", **options) as one:
        wait_until(lambda: "blocked its worker for" in one.log_text)
        log = run_spider("blocking", **options).log
        first = one.end()

    # Then that page alone has failed, and it is said why
    (letter,) = letters(redis_client, crawl_name)
    assert "/leaf/3 with callback Blocking.parse blocked its worker for" in letter["reason"]
    assert re.search(r"for [3-8] s in (block|match), line \d+ of .*\.py$", letter["reason"])
    # And all other pages are crawled, though each may fail but once
    assert set(parsed(first.log, log)) == set(range(PAGES))
    # And the worker comes back and ends well
    assert "Spider closed (finished)" in first.log
    assert first.status == 0


def test_a_worker_by_itself_goes_on_after_a_callback_beyond_the_limit(
    options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a worker alone, and a page that blocks it beyond the limit
    options["arguments"]["seconds"] = 4 * LEASE_S
    options["settings"] |= {LIMIT: 2 * LEASE_S, "FRONTIER_MAX_ATTEMPTS": 1}

    # When it crawls
    ended = run_spider("blocking", **options)

    # Then it comes back under a new name and crawls all else
    assert set(parsed(ended.log)) == set(range(PAGES))
    assert ended.log.count("Joined the crawl") == 2
    assert len(letters(redis_client, crawl_name)) == 1


def test_a_stopped_worker_is_not_busy(options: dict[str, Any]) -> None:
    # Given a worker that is blocked, and whose lease is renewed
    options["arguments"]["seconds"] = 4 * LEASE_S
    with start_spider("blocking", **options) as frozen:
        wait_until(lambda: "blocked its worker for" in frozen.log_text)

        # When it is stopped
        frozen.signal(signal.SIGSTOP)

        # Then its pages are others' after the time of a lease
        other = {**options, "arguments": {**options["arguments"], "seconds": 0}}
        log = run_spider("blocking", timeout_s=20, **other).log
        assert set(parsed(log, frozen.log_text)) == set(range(PAGES))
        assert "Spider closed (finished)" in log
        # And it is fenced when it goes on
        frozen.signal(signal.SIGCONT)
        assert "'frontier/fenced': 1" in frozen.end().log


def test_nothing_of_a_killed_worker_renews_its_lease(
    options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a worker that is blocked, and whose lease is renewed
    options["arguments"]["seconds"] = 60
    with start_spider("blocking", **options) as killed:
        wait_until(lambda: "blocked its worker for" in killed.log_text)
        (name,) = redis_client.zrange(f"{{{crawl_name}}}:workers", 0, -1)

        # When it is killed
        killed.kill()

    # Then its time runs out
    def is_over() -> bool:
        seconds, us = redis_client.time()
        return float(redis_client.zscore(f"{{{crawl_name}}}:workers", name) or 0) < seconds * 1000 + us / 1000

    wait_until(is_over, 2 * LEASE_S)
