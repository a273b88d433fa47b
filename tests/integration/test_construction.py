"""Spiders that are made as Scrapy lets its users make them work, or it is said what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.local.practice_site import PracticeSite
from tests.helpers import Ended, run_spider

Run = Any


@pytest.fixture
def url(practice_site: PracticeSite) -> str:
    """A page without links."""
    return f"{practice_site.url}traps/leaf/a"


@pytest.fixture
def run(redis_url: str, mongo_uri: str, database: str, crawl_name: str, tmp_path: Path, url: str) -> Run:
    """Runs a spider to its end; the URLs of its items come from a feed."""

    def run_(spider: str, **settings: object) -> tuple[Ended, list[str]]:
        feed = tmp_path / "items.jsonl"
        ended = run_spider(
            spider,
            tmp_path,
            arguments={"crawl": crawl_name, "url": url},
            settings={
                "SPIDER_MODULES": "tests.integration.spiders",
                "FEEDS": json.dumps({str(feed): {"format": "jsonlines"}}),
                **settings,
            },
            env={"REDIS_URL": redis_url, "MONGO_URI": mongo_uri, "MONGO_DATABASE": database},
        )
        lines = feed.read_text().splitlines() if feed.exists() else []
        return ended, sorted(json.loads(line)["url"] for line in lines)

    return run_


def test_a_spider_without_a_crawler_and_a_user_agent_of_none_run(run: Run, url: str) -> None:
    # Given a spider whose from_crawler doesn't call Scrapy's, and that sends no User-Agent
    # When it runs
    ended, urls = run("by-itself")
    # Then it crawls
    assert (ended.status, urls) == (0, [url])
    assert "Traceback" not in ended.log


def test_start_requests_that_are_not_filtered_are_crawled_as_often_as_they_are_yielded(
    run: Run, url: str
) -> None:
    # Given a spider that starts three times with each of two pages
    # When it runs
    ended, urls = run("repeating", ITEM_PIPELINES="{}")
    # Then each is crawled three times, as in Scrapy
    assert (ended.status, urls) == (0, [url] * 3 + [f"{url}?two"] * 3)


def test_a_start_that_fails_is_said_once(run: Run, url: str) -> None:
    # Given a spider whose start fails behind its first page
    # When it runs
    ended, urls = run("raising")
    # Then that page is crawled, and the log has Scrapy's tracebacks alone
    assert urls == [url]
    assert "Error caught on signal handler" not in ended.log


def test_a_spider_whose_addons_replace_the_projects_is_told_what_is_missing(run: Run) -> None:
    # Given a spider with ADDONS of its own
    # When it runs
    ended, urls = run("own-addons")
    # Then it stops with a sentence that says what to add
    assert (ended.status, urls) == (1, [])
    assert "ADDONS of the spider own-addons lacks crawlers.scheduler.FrontierAddon" in ended.log
    assert "Traceback" not in ended.log


def test_a_spider_whose_pipelines_replace_the_store_is_told_so(run: Run, url: str) -> None:
    # Given a spider with ITEM_PIPELINES of its own, without the store of the project
    # When it runs
    ended, urls = run("own-pipelines")
    # Then it crawls, and the log says that nothing is stored
    assert (ended.status, urls) == (0, [url])
    assert "ITEM_PIPELINES of the spider own-pipelines lacks crawlers.pipelines.MongoPipeline" in ended.log
