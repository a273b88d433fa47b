"""The chaos suite notices what it is there to notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from .checks import judge
from .crawl_run import CrawlRun, Scale
from .faults_site import SiteRefuses
from .proxy import HoldsBack
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

        # When a counter is wrong, a lease is left, and there is a queue that its host doesn't know of,
        # in the crawl's next generation
        tag = next(run.observer.client.scan_iter("*:meta")).decode().removesuffix(":meta")
        run.observer.client.hincrby(f"{tag}:meta", "done", -1)
        run.observer.client.hset(f"{tag}:2:leases:gone", "1", "0 host 0 0 payload")
        run.observer.client.rpush(f"{tag}:2:requests:127.0.0.1:-3", "0 payload")

        # Then all are told
        problems = " ".join(judge(run).problems)
        assert "enqueued is not done + queued + leased + dead" in problems
        assert "leased: 0 against 1" in problems
        assert "hosts that don't know of their queues: 1 against 0" in problems
        assert "keys were left" in problems


def test_a_document_that_is_there_twice_is_a_problem(ended: CrawlRun) -> None:
    with ended as run:
        # Given a crawl without a problem
        run.crawl()

        # When a page is stored under another key as well
        run.database["pages"].insert_one({"_id": "other", "url": f"{run.site_url}graph/7", "status": 200})

        # Then that is noticed
        assert judge(run).twice == 1


class _LooksLate(CrawlRun):
    """Does not look at Redis before pages of the site are held back."""

    def watch(self) -> None:
        manner = self.site_proxy.manner if self.site_proxy else None
        if not isinstance(manner, HoldsBack) or manner.is_full:
            super().watch()


def test_no_crawl_is_over_before_the_fault_of_its_site(servers: Servers, tmp_path: Path) -> None:
    # Given a suite that learns of no page before the crawl could have asked for all
    with _LooksLate(servers, tmp_path / "run", Scale(pages=100), [SiteRefuses], "0") as run:
        # When it crawls to the end
        run.crawl()

        # Then pages were left to meet the fault
        assert judge(run).problems == []
        assert run.faults[0].pages
