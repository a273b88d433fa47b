"""A page leaves the frontier when it is done, and not before, on whatever way Scrapy ends it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.practice_site import PracticeSite
from tests.helpers import run_spider, start_spider, wait_until

LEAF = "traps/leaf/page"

# way, target below the site, pages done, reasons of the dead letters
WAYS = [
    ("nothing", LEAF, 1, []),
    ("nobody", LEAF, 0, ["callback raised NotImplementedError"]),
    ("a_list", LEAF, 2, []),
    ("generator", LEAF, 2, []),
    ("coroutine", LEAF, 2, []),
    ("async_generator", LEAF, 2, []),
    ("raises", LEAF, 0, ["callback raised ValueError: before any output"]),
    ("coroutine_raises", LEAF, 0, ["callback raised ValueError: before any output"]),
    ("raises_amid", LEAF, 1, ["callback raised ValueError: amid the output"]),
    ("async_raises_amid", LEAF, 1, ["callback raised ValueError: amid the output"]),
    ("a_list", "traps/leaf/smw-input", 0, ["download failed ValueError: before the callback"]),
    ("a_list", "traps/leaf/smw-output", 1, ["callback raised ValueError: after the callback"]),
    ("nothing", "traps/404", 1, []),
    ("nothing", "traps/forbidden", 1, []),
    ("nothing", "traps/301", 2, []),
    ("nothing", "traps/meta-refresh", 2, []),
    ("nothing", "traps/loop", 3, ["download failed IgnoreRequest: max redirections reached"]),
    ("nothing", "traps/500", 2, []),
    ("nothing", "traps/reset", 1, ["download failed"]),
    ("nothing", "traps/truncated", 1, ["download failed"]),
    ("nothing", "http://127.0.0.1:9/", 1, ["download failed"]),
    ("nothing", "http://nowhere.invalid/", 1, ["download failed"]),
    ("errback_handles", "http://127.0.0.1:9/", 3, []),
    ("errback_raises", "http://127.0.0.1:9/", 1, ["callback raised ValueError: in the errback"]),
    ("drops", LEAF, 1, []),
    ("item_fails", LEAF, 0, ["pipeline raised ValueError: as asked"]),
    ("offsite", LEAF, 2, []),
    ("downloads", LEAF, 2, []),
    ("a_list", "traps/leaf/mw-response", 2, []),
    ("nothing", "traps/leaf/mw-request", 2, []),
    ("nothing", "traps/leaf/mw-again", 3, []),
    ("nothing", "traps/leaf/mw-ever", 5, ["it leads to itself 6 times"]),
    ("nothing", "traps/leaf/mw-ignore", 1, []),
    ("unqueueable", LEAF, 2, ["callback <lambda> is not a method", "a object is not plain data"]),
    ("plain_data", LEAF, 2, []),
]


@pytest.fixture
def options(redis_url: str, crawl_name: str, practice_site: PracticeSite, tmp_path: Path) -> dict[str, Any]:
    """What every run of the spider needs."""
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name, "site": practice_site.url.rstrip("/")},
        "settings": {"SPIDER_MODULES": "tests.integration.spiders"},
        "env": {"REDIS_URL": redis_url, "GO": str(tmp_path / "go"), "WAITING": str(tmp_path / "waiting")},
    }


def meta(client: redis.Redis, crawl: str) -> Counter[str]:
    """The counters of a crawl; one that never changed is 0."""
    fields = client.hgetall(f"{{{crawl}}}:meta")
    return Counter({name.decode(): int(value) for name, value in fields.items()})


# With a spider middleware of the user's outputs pass Scrapy's chain of generators, without they don't.
STEPS: dict[str, dict[str, object]] = {
    "a middleware of the user's": {},
    "fast": {"SPIDER_MIDDLEWARES": "{}", "FAST_PROFILE": True},
}
CASES = [(steps, *way) for steps in STEPS for way in WAYS if steps != "fast" or "smw-" not in way[1]]
CASES += [
    ("all of Scrapy's own", *way)
    for way in WAYS
    if way[0] in ("generator", "raises_amid", "drops") or "-again" in way[1]
]
STEPS["all of Scrapy's own"] = {"FRONTIER_LEAN": False}


@pytest.mark.parametrize(
    ("steps", "way", "target", "done", "reasons"), CASES, ids=[f"{c[1]}-{c[2]}-{c[0]}" for c in CASES]
)
def test_a_page_ends_done_or_dead_with_a_reason(
    steps: str,
    way: str,
    target: str,
    done: int,
    reasons: list[str],
    options: dict[str, Any],
    redis_client: redis.Redis,
    crawl_name: str,
) -> None:
    # Given a page that Scrapy ends in this way
    site = options["arguments"]["site"]
    url = target if "://" in target else f"{site}/{target}"
    options["arguments"] |= {"way": way, "target": url}
    options["settings"] |= STEPS[steps]

    # When the spider runs
    ended = run_spider("paths", **options)

    # Then the crawl ends by itself, with every page done or dead
    assert ended.status == 0
    assert ended.reason == "finished"
    counts = meta(redis_client, crawl_name)
    letters = redis_client.xrange(f"{{{crawl_name}}}:dead")
    assert (counts["done"], len(letters)) == (done, len(reasons)), ended.log
    for (_, letter), reason in zip(letters, reasons, strict=True):
        assert re.search(reason, letter[b"reason"].decode())
    assert counts["enqueued"] == done + len(reasons)
    assert (counts["queued"], counts["leased"]) == (0, 0)


@pytest.mark.parametrize("way", ["callback_waits", "item_waits"])
def test_a_page_stays_leased_until_its_callback_has_ended_and_its_items_are_through(
    way: str, options: dict[str, Any], redis_client: redis.Redis, crawl_name: str, tmp_path: Path
) -> None:
    # Given a page whose callback, or whose item's pipeline, waits
    options["arguments"] |= {"way": way, "target": f"{options['arguments']['site']}/{LEAF}"}
    with start_spider("paths", **options) as spider:
        wait_until((tmp_path / "waiting").exists)

        # When the worker exchanges again and again meanwhile
        worker = wait_until(lambda: redis_client.zrange(f"{{{crawl_name}}}:workers", 0, -1))[0].decode()
        sequence = f"{{{crawl_name}}}:1:worker:{worker}"
        before = int(redis_client.hget(sequence, "sequence"))
        wait_until(lambda: int(redis_client.hget(sequence, "sequence")) > before + 3)

        # Then the page is still leased
        counts = meta(redis_client, crawl_name)
        assert (counts["leased"], counts["done"]) == (1, 0)

        # And it is done once the wait is over
        (tmp_path / "go").touch()
        assert spider.end().status == 0
    assert meta(redis_client, crawl_name)["done"] == 1
