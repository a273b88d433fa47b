"""A worker with an older spider leaves to newer ones what only they can run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.practice_site import PracticeSite
from tests.helpers import run_spider, start_spider, wait_until


@pytest.fixture
def options(redis_url: str, practice_site: PracticeSite, tmp_path: Path, crawl_name: str) -> dict[str, Any]:
    """What every worker needs."""
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name, "url": practice_site.url},
        "settings": {"SPIDER_MODULES": "tests.integration.spiders"},
        "env": {"REDIS_URL": redis_url},
    }


def test_what_only_a_newer_worker_can_run_waits_for_one(
    options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a queue of ten requests that a newer worker left
    def meta(name: str) -> int:
        return int(redis_client.hget(f"{{{crawl_name}}}:meta", name) or 0)

    stop = {"CLOSESPIDER_PAGECOUNT": 1, "CONCURRENT_REQUESTS": 1, "FRONTIER_PREFETCH": 1}
    run_spider("newer", **{**options, "settings": {**options["settings"], **stop}})
    left = meta("queued")
    assert left >= 8

    # When an older one comes upon them
    with start_spider("older", **options) as older:
        wait_until(lambda: meta("leased") >= 8)
        wait_until(lambda: "This worker can't run a request" in older.log_text)

        # Then none is a dead letter, nor goes to and fro, and it is said once what they wait for
        exchanges = meta("last_lease")
        assert older.log_text.count("This worker can't run a request") == 1
        assert "the spider has no callback 'parse_detail'" in older.log_text

        # And a newer one crawls them, and both end
        log = run_spider("newer", **options).log
        ended = older.end()
    assert sum(log.count(f"/traps/leaf/{number}\n") for number in range(10)) >= left
    assert "Spider closed (finished)" in ended.log
    assert (meta("dead"), meta("queued"), meta("leased")) == (0, 0, 0)
    assert meta("last_lease") - exchanges < 10 * 10


def test_with_a_wait_of_0_they_are_dead_letters_at_once(
    options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a queue that a newer worker left
    stop = {"CLOSESPIDER_PAGECOUNT": 1, "CONCURRENT_REQUESTS": 1, "FRONTIER_PREFETCH": 1}
    run_spider("newer", **{**options, "settings": {**options["settings"], **stop}})

    # When an older one comes upon it, and is not to wait
    options["settings"]["FRONTIER_UNKNOWN_WAIT_S"] = 0
    ended = run_spider("older", **options)

    # Then its requests are dead letters, which say why
    reasons = {fields[b"reason"] for _, fields in redis_client.xrange(f"{{{crawl_name}}}:dead")}
    assert reasons == {b"the spider has no callback 'parse_detail'; no worker that knows it came within 0 s"}
    assert "Spider closed (finished)" in ended.log
