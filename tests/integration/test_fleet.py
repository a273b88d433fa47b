"""Workers of one crawl share its work, end together, and leave to others what they did not do."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.practice_site import PracticeSite
from tests.helpers import ROOT, Ended, run_spider, start_spider, wait_until

PAGES = 999  # besides the start page


@pytest.fixture
def options(redis_url: str, practice_site: PracticeSite, tmp_path: Path, crawl_name: str) -> dict[str, Any]:
    """What every worker needs; each writes the pages it parsed to a feed of its own."""
    feed = str(tmp_path / "items-%(time)s-%(batch_id)d.jsonl")
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name, "url": f"{practice_site.url.rstrip('/')}/graph/0"},
        "settings": {
            "SPIDER_MODULES": "tests.integration.spiders",
            "FEEDS": json.dumps({feed: {"format": "jsonlines", "batch_item_count": 10**9}}),
        },
        "env": {"REDIS_URL": redis_url},
    }


def parsed(folder: Path) -> Counter[str]:
    """The pages that were parsed, and how often each, by all workers; but for the start page.

    A start request is not deduplicated, as always in Scrapy: links lead to its page once more.
    """
    lines = "".join(feed.read_text() for feed in folder.glob("items-*.jsonl")).splitlines()
    urls = (json.loads(line)["url"] for line in lines)
    return Counter(url for url in urls if not url.endswith("/graph/0"))


def meta(client: redis.Redis, crawl: str, name: str) -> int:
    """One of the counters of a crawl."""
    return int(client.hget(f"{{{crawl}}}:meta", name) or 0)


def run_fleet(workers: int, options: dict[str, Any]) -> tuple[list[Ended], float]:
    """Runs so many workers to their ends; and the seconds between the first end and the last."""
    with ExitStack() as stack:
        fleet = [stack.enter_context(start_spider("graph", **options)) for _ in range(workers)]
        wait_until(lambda: any(not worker.running for worker in fleet), 60)
        first = time.monotonic()
        return [worker.end() for worker in fleet], time.monotonic() - first


def test_three_workers_crawl_each_page_once_and_end_together(
    options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a site of 1,000 pages, and workers that all start at the same page
    # When three of them run
    ended, apart_s = run_fleet(3, options)

    # Then each page was parsed once, by one of them, and all end by themselves within about a second
    pages = parsed(options["folder"])
    assert len(pages) == PAGES
    assert set(pages.values()) == {1}
    assert {worker.reason for worker in ended} == {"finished"}
    assert apart_s < 2
    assert sum("'frontier/done'" in worker.log for worker in ended) == 3
    # And nothing is left in Redis but the counters of the crawl, and the inside hosts of its starts
    left = sorted(redis_client.keys(f"*{crawl_name}*"))
    assert left == [f"{{{crawl_name}}}:{name}".encode() for name in ("inside", "meta")]


def test_an_interrupted_crawl_goes_on_where_it_was_and_a_finished_one_starts_anew(
    options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a worker that is interrupted in the middle of its crawl
    with start_spider("graph", **options) as worker:
        wait_until(lambda: meta(redis_client, crawl_name, "done") >= 100)
        worker.interrupt()
        assert worker.end().reason == "shutdown"
    assert meta(redis_client, crawl_name, "leased") == 0

    # When it is started again
    log = run_spider("graph", **options).log

    # Then it crawls the rest, and nothing twice
    assert ", run 1, " in log
    assert set(parsed(options["folder"]).values()) == {1}
    assert len(parsed(options["folder"])) == PAGES

    # And when it is started once more, it crawls all of it again
    assert ", run 2, " in run_spider("graph", **options).log
    assert set(parsed(options["folder"]).values()) == {2}


def test_with_scheduler_persist_the_next_run_crawls_what_is_new(
    options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a finished crawl that keeps what it has seen
    options["settings"]["SCHEDULER_PERSIST"] = True
    run_spider("graph", **options)

    # When it runs again
    run_spider("graph", **options)

    # Then only its start page is fetched again
    assert meta(redis_client, crawl_name, "run") == 2
    assert set(parsed(options["folder"]).values()) == {1}


def test_scheduler_flush_on_start_drops_what_an_interrupted_crawl_left(
    options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given an interrupted crawl
    with start_spider("graph", **options) as worker:
        wait_until(lambda: meta(redis_client, crawl_name, "done") >= 100)
        worker.interrupt()
        worker.end()
    before = sum(parsed(options["folder"]).values())

    # When it starts again and is to flush
    options["settings"]["SCHEDULER_FLUSH_ON_START"] = True
    run_spider("graph", **options)

    # Then it crawls all of it
    assert sum(parsed(options["folder"]).values()) == before + PAGES


def test_crawls_of_one_spider_under_different_names_are_apart(
    options: dict[str, Any], crawl_name: str
) -> None:
    # Given a finished crawl
    run_spider("graph", **options)

    # When the same spider runs under another name
    other = {**options, "arguments": {**options["arguments"], "crawl": f"{crawl_name}-b"}}
    log = run_spider("graph", **other).log

    # Then it is a crawl of its own
    assert ", run 1, " in log
    assert set(parsed(options["folder"]).values()) == {2}


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("CONCURRENT_REQUESTS", "0", "CONCURRENT_REQUESTS must be a whole number from 1 to 100,000, not '0'"),
        ("REDIS_URL", "http://127.0.0.1/", "REDIS_URL"),
        ("FAST_PROFILE", "maybe", "FAST_PROFILE must be True or False, not 'maybe'"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL must be one of CRITICAL"),
        ("REDIS_START_URLS_KEY", "%(nme)s", "REDIS_START_URLS_KEY must be a key in which %(name)s"),
    ],
)
def test_a_bad_setting_is_named_and_stops_the_worker(
    setting: str, value: str, sentence: str, options: dict[str, Any]
) -> None:
    # Given a setting that makes no sense
    options["settings"][setting] = value

    # When a worker starts
    ended = run_spider("graph", **options)

    # Then it says so in a sentence, and fails
    assert sentence in ended.log
    assert ended.status == 1
    assert "Traceback" not in ended.log


def test_a_name_of_a_crawl_that_cannot_be_is_shown_as_it_can_be_read(options: dict[str, Any]) -> None:
    # Given a byte that is no text in a crawl's name
    options["arguments"]["crawl"] = "a\udcff"

    # When a worker starts
    ended = run_spider("graph", **options)

    # Then it says what a name may be, and fails
    assert r"'a\udcff' can't name a crawl: use 1 to 100 characters" in ended.log
    assert (ended.status, "Traceback" in ended.log) == (1, False)


def test_a_misspelt_setting_is_said_with_the_right_name(options: dict[str, Any]) -> None:
    # Given a setting whose name lacks the unit
    options["settings"] |= {
        "FRONTIER_PATIENCE": 1,
        "FRONTIER_PATIENCE_S": 0,
        "REDIS_URL": "redis://127.0.0.1:9",
    }

    # When a worker starts
    ended = run_spider("graph", **options)

    # Then a warning has both
    assert (
        "FRONTIER_PATIENCE is no setting, and has no effect: did you mean FRONTIER_PATIENCE_S?" in ended.log
    )


def test_a_redis_that_cannot_be_reached_is_waited_for_and_then_named(options: dict[str, Any]) -> None:
    # Given an address where no Redis is
    options["env"]["REDIS_URL"] = "redis://:secret@127.0.0.1:9/0"
    options["settings"]["FRONTIER_PATIENCE_S"] = 0.5

    # When a worker starts
    ended = run_spider("graph", **options)

    # Then it tries, says so in a sentence without the password, and fails
    assert "Redis can't be reached" in ended.log
    assert ended.status == 1
    assert "Traceback" not in ended.log
    assert "secret" not in ended.log


def test_the_project_is_found_from_its_root() -> None:
    # Given the project's root, when Scrapy looks for it there, then it finds the settings
    assert "default = crawlers.settings" in (ROOT / "scrapy.cfg").read_text()
