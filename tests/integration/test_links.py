"""Links that a spider yields are crawled as the requests would be that it could yield in their place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.practice_site import PracticeSite
from tests.helpers import Ended, run_spider

TAGGING = "tests.integration.spiders.linked.Tagging"
# All that says what became of links.
STATS = (
    *("dupefilter/filtered", "offsite/domains", "offsite/filtered", "urllength/request_ignored_count"),
    *("depth/request_ignored_count", "request_depth_max"),
    *("scheduler/enqueued", "scheduler/dequeued", "frontier/done", "frontier/failed", "frontier/refused"),
)


@dataclass
class Crawled:
    """What a run of the spider found, and what it counted."""

    ended: Ended
    items: list[dict[str, Any]]
    stats: dict[str, int]


class Runs:
    """Crawls of one test, each of its own name."""

    def __init__(self, redis_url: str, site: PracticeSite, folder: Path, crawl: str) -> None:
        self._url = f"{site.url}graph/0"
        self._folder = folder
        self._crawl = crawl
        self._env = {"REDIS_URL": redis_url}
        self.number = 0

    @property
    def crawl(self) -> str:
        """The name of the last."""
        return f"{self._crawl}-{self.number}"

    def run(self, way: str, listens: bool = False, **settings: object) -> Crawled:
        """The spider from start to end, with `settings`."""
        self.number += 1
        feed = self._folder / f"{self.number}.jsonl"
        feeds = json.dumps({str(feed): {"format": "jsonlines"}})
        arguments = {"crawl": self.crawl, "url": self._url, "way": way} | ({"listens": 1} if listens else {})
        ended = run_spider(
            "linked",
            self._folder,
            arguments=arguments,
            settings={"SPIDER_MODULES": "tests.integration.spiders", "FEEDS": feeds, **settings},
            env=self._env,
        )
        lines = feed.read_text().splitlines() if feed.exists() else []
        items = sorted(map(json.loads, lines), key=lambda item: str(item["url"]))
        return Crawled(ended, items, counted(ended.log))


def counted(log: str) -> dict[str, int]:
    """The numbers among the stats that a spider logs at its end."""
    return {name: int(number) for name, number in re.findall(r"'([^']+)': (\d+)[,}]", log)}


def told(crawled: Crawled) -> dict[str, int]:
    """What became of links."""
    return {name: crawled.stats.get(name, 0) for name in STATS}


@pytest.fixture
def runs(redis_url: str, practice_site: PracticeSite, tmp_path: Path, crawl_name: str) -> Runs:
    """For crawls of this test alone."""
    return Runs(redis_url, practice_site, tmp_path, crawl_name)


SETTINGS: dict[str, dict[str, object]] = {
    "as they are": {},
    "depth": {"DEPTH_LIMIT": 2, "DEPTH_STATS_VERBOSE": True},
    "priority": {"DEPTH_PRIORITY": 3},
    "no depth": {"SPIDER_MIDDLEWARES": json.dumps({"scrapy.spidermiddlewares.depth.DepthMiddleware": None})},
    "short URLs": {"URLLENGTH_LIMIT": 60},
    "no referrer": {"REFERER_ENABLED": False},
    "same origin": {"REFERRER_POLICY": "same-origin"},
    "all hosts": {
        "DOWNLOADER_MIDDLEWARES": '{"scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": null}',
    },
    "own fingerprints": {"REQUEST_FINGERPRINTER_CLASS": "tests.integration.spiders.linked.Fingerprinter"},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_links_are_crawled_as_their_requests_are(settings: dict[str, object], runs: Runs) -> None:
    # Given a spider whose callback yields a request for each link, and what becomes of these
    as_ever = runs.run("requests", **settings, FRONTIER_DROP_EARLY=False)
    assert as_ever.ended.status == 0
    assert len(as_ever.items) > 10
    # When the same links are dropped next to the spider, or are Links
    dropped = runs.run("requests", **settings)
    links = runs.run("links", **settings)
    # Then the same pages are asked for in the same manner, and the same is counted
    assert dropped.items == as_ever.items
    assert links.items == as_ever.items
    assert told(links) == told(dropped)
    if "DEPTH_LIMIT" not in settings:
        assert told(dropped) == told(as_ever)


@pytest.mark.parametrize("way", ["asynchronous", "returned", "start", "errback"])
def test_links_come_from_callbacks_and_starts_of_every_kind(way: str, runs: Runs) -> None:
    # Given a spider that makes Links in another place than a callback's yield
    # When it runs
    crawled = runs.run(way)
    # Then they are followed
    assert crawled.ended.status == 0
    assert "spider_exceptions" not in crawled.ended.log
    assert crawled.stats["frontier/done"] > 30


@pytest.mark.parametrize("way", ["requests", "links"])
def test_a_spider_middleware_of_the_users_sees_each_link_as_a_request(way: str, runs: Runs) -> None:
    # Given a spider middleware that changes requests
    middlewares = json.dumps({TAGGING: 500})
    # When links are found
    crawled = runs.run(way, SPIDER_MIDDLEWARES=middlewares)
    # Then it has changed all of them
    tags = [str(item["tag"]) for item in crawled.items if item["depth"]]
    assert tags
    assert all(tag.startswith("changed at") for tag in tags)


def test_known_links_are_kept_from_a_middleware_of_the_users_only_where_asked_for(runs: Runs) -> None:
    # Given a spider middleware of the user's, and somebody who counts the links that come to the scheduler
    middlewares = json.dumps({TAGGING: 500})
    # When seen links are to be dropped even so
    always = runs.run("links", listens=True, SPIDER_MIDDLEWARES=middlewares, FRONTIER_DROP_EARLY=True)
    never = runs.run("links", listens=True, SPIDER_MIDDLEWARES=middlewares)
    # Then only links that weren't seen have come so far, and the same pages are crawled
    assert always.items == never.items
    assert always.stats["listened/scheduled"] < never.stats["listened/scheduled"]
    assert told(always) == told(never)


def test_who_listens_is_told_of_each_link(runs: Runs) -> None:
    # Given somebody who listens to requests that are scheduled and dropped
    # When the links are requests, and when they are Links
    requests = runs.run("requests", listens=True)
    links = runs.run("links", listens=True)
    # Then it is told of the same
    for name in ("listened/scheduled", "listened/dropped"):
        assert links.stats[name] == requests.stats[name] > 0
    assert links.stats["listened/dropped"] == links.stats["dupefilter/filtered"]


@pytest.mark.parametrize("early", ["auto", False])
def test_a_link_that_can_t_be_queued_does_not_take_others_with_it(
    early: object, runs: Runs, redis_client: redis.Redis
) -> None:
    # Given Links among which are such that no request can be made of, and some with more than data
    # When they are found
    crawled = runs.run("broken", FRONTIER_DROP_EARLY=early)
    # Then the others are crawled, and each of these is set aside with the reason
    assert sorted(item["url"].partition("?")[2] for item in crawled.items) == ["good=0", "good=1", "good=2"]
    letters = redis_client.xrange(f"{{{runs.crawl}}}:dead")
    reasons = sorted(letter[b"reason"].decode() for _, letter in letters)
    assert len(reasons) == 6
    for reason, start in zip(
        reasons,
        [
            "a file: URL would read the disk",
            "a object is not plain data",
            "a object is not plain data",
            "no request can be made of it: Invalid IPv6",
            "no request can be made of it: Missing scheme",
            "no request can be made of it: Request url must be str, got int",
        ],
        strict=True,
    ):
        assert reason.startswith(start)
    assert crawled.stats["frontier/refused"] == 6
    assert "Traceback" not in crawled.ended.log


def test_a_setting_that_is_none_is_named(runs: Runs) -> None:
    crawled = runs.run("links", FRONTIER_DROP_EARLY="sometimes")
    assert crawled.ended.status == 1
    (line,) = [line for line in crawled.ended.log.splitlines() if "CRITICAL" in line]
    assert "FRONTIER_DROP_EARLY must be auto, True or False, not 'sometimes'" in line
    assert "Traceback" not in crawled.ended.log
