"""The chaos suite notices what it is there to notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from .checks import judge
from .crawl_run import CrawlRun, Scale
from .servers import Servers


@pytest.fixture
def ended(servers: Servers, tmp_path: Path) -> CrawlRun:
    """A small crawl that has ended well, yet to be left."""
    return CrawlRun(servers, tmp_path / "run", Scale(pages=30, workers=1), [], "0")


def test_a_page_that_is_missing_is_lost(ended: CrawlRun) -> None:
    with ended as run:
        # Given a crawl without a problem
        run.crawl()
        assert judge(run).problems == []

        # When a document disappears
        run.database["pages"].delete_one({"url": f"{run.site_url}graph/29"})

        # Then its page is lost
        assert judge(run).lost == [29]


def test_counters_that_do_not_add_up_and_keys_that_are_left_are_problems(ended: CrawlRun) -> None:
    with ended as run:
        # Given a crawl without a problem
        run.crawl()
        assert judge(run).problems == []

        # When a counter is wrong and a lease is left
        tag = next(run.observer.client.scan_iter("*:meta")).decode().removesuffix(":meta")
        run.observer.client.hincrby(f"{tag}:meta", "done", -1)
        run.observer.client.hset(f"{tag}:1:leases:gone", "1", "0 host 0 0 payload")

        # Then both are told
        problems = " ".join(judge(run).problems)
        assert "enqueued is not done + queued + leased + dead" in problems
        assert "keys were left" in problems


def test_a_document_that_is_there_twice_is_a_problem(ended: CrawlRun) -> None:
    with ended as run:
        # Given a crawl without a problem
        run.crawl()

        # When a page is stored under another key as well
        run.database["pages"].insert_one({"_id": "other", "url": f"{run.site_url}graph/7", "status": 200})

        # Then that is noticed
        assert judge(run).twice == 1
