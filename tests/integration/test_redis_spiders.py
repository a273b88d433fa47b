"""Spiders of scrapy-redis' classes with methods of their own work as with scrapy-redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import scrapy_redis.connection
from scrapy.settings import Settings

from crawlers.redis_spiders import share_redis_settings
from deploy.local.practice_site import PracticeSite
from tests.helpers import Ended, run_spider

LEAF = "/traps/leaf/"


@pytest.fixture
def site(practice_site: PracticeSite) -> str:
    """The practice site without a slash at its end."""
    return practice_site.url.rstrip("/")


@pytest.fixture
def key(request: pytest.FixtureRequest, redis_client: redis.Redis) -> Iterator[str]:
    """The list of the spider that the test is about, which is that of its crawl, too."""
    spider = request.node.callspec.params["spider"]
    yield f"{spider}:start_urls"
    for name in redis_client.scan_iter(f"*{spider}*", count=1000):
        redis_client.unlink(name)


def run(spider: str, site: str, redis_url: str, folder: Path) -> tuple[Ended, list[dict[str, Any]]]:
    """A whole run of `spider`: how it ended, and its items by URL."""
    found = folder / "items.jsonl"
    settings = {
        "SPIDER_MODULES": "tests.integration.spiders",
        "ITEM_PIPELINES": "{}",
        "FEEDS": json.dumps({str(found): {"format": "jsonlines"}}),
    }
    ended = run_spider(
        spider, folder, arguments={"more": site}, settings=settings, env={"REDIS_URL": redis_url}
    )
    items = map(json.loads, found.read_text().splitlines()) if found.exists() else ()
    return ended, sorted(items, key=lambda item: item["url"])


@pytest.mark.parametrize("spider", ["own-next"])
def test_next_requests_is_given_claimed_entries_and_a_bad_one_is_set_aside(
    spider: str, key: str, site: str, redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    # Given a spider that changes what scrapy-redis makes of its entries, and one entry on which it fails
    redis_client.rpush(key, *(f"{site}{LEAF}{name}" for name in ("a", "fail", "b")))
    # When it runs
    ended, items = run(spider, site, redis_url, tmp_path)
    # Then the good ones are crawled as it says, and the other is a dead letter
    assert [(item["url"], item["job"]) for item in items] == [
        (f"{site}{LEAF}a", "next"),
        (f"{site}{LEAF}b", "next"),
    ]
    [(_, letter)] = redis_client.xrange(f"{{{spider}}}:dead")
    assert letter[b"reason"] == b"next_requests: ValueError: this one is no good"
    assert letter[b"payload"] == f"{site}{LEAF}fail".encode()
    assert "Spider closed (finished)" in ended.log
    # And each entry was claimed until its request was in the frontier
    assert redis_client.hget(f"{{{key}}}:claims:{spider}", "last") == b"3"


@pytest.mark.parametrize("spider", ["by-server", "own-pop", "own-server"])
def test_entries_are_taken_by_the_spiders_own_method_which_is_said(
    spider: str, key: str, site: str, redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    # Given a spider that takes entries off its list by itself
    urls = [f"{site}{LEAF}{number}" for number in range(5)]
    with redis.Redis.from_url(redis_url.replace("/0", "/9" if spider == "own-server" else "/0")) as server:
        server.rpush(key, *urls)
        # When it runs
        ended, items = run(spider, site, redis_url, tmp_path)
        # Then all are crawled, nothing was claimed, and the run ends
        assert [item["url"] for item in items] == urls
        assert not server.exists(key)
    assert not redis_client.hexists(f"{{{key}}}:claims:{spider}", "last")
    assert "Spider closed (finished)" in ended.log
    # And whoever reads the log knows what that costs
    assert ("takes entries of" in ended.log) == (spider != "by-server")


@pytest.mark.parametrize("spider", ["own-schedule", "own-idle"])
def test_what_a_spider_does_when_idle_is_done(
    spider: str, key: str, site: str, redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    # Given a spider with requests from elsewhere, and an entry in its list
    redis_client.rpush(key, f"{site}{LEAF}pushed")
    # When it runs
    ended, items = run(spider, site, redis_url, tmp_path)
    # Then all of them are crawled
    assert [item["url"] for item in items] == [
        *(f"{site}{LEAF}more-{number}" for number in range(3)),
        f"{site}{LEAF}pushed",
    ]
    assert ended.status == 0


def test_a_client_of_scrapy_redis_knows_sentinels() -> None:
    # Given what the add-on does before a spider is made
    share_redis_settings()
    # When scrapy-redis makes its client of an address with sentinels
    settings = Settings({"REDIS_URL": "redis+sentinel://localhost:1,[::1]:2/service"})
    client = scrapy_redis.connection.from_settings(settings)
    # Then it is one for the primary that they know
    assert client.connection_pool.service_name == "service"


def test_settings_that_mean_nothing_are_named_and_classes_of_the_users_refused(
    redis_url: str, crawl_name: str, tmp_path: Path
) -> None:
    # Given the settings of a scrapy-redis project, and a queue of its own
    settings = {
        "SPIDER_MODULES": "tests.integration.spiders",
        "DUPEFILTER_CLASS": "scrapy_redis.dupefilter.RFPDupeFilter",
        "SCHEDULER_SERIALIZER": "pickle",
        "REDIS_START_URLS_AS_SET": "True",
        "JOBDIR": "",
        "SCHEDULER_QUEUE_CLASS": "project.queues.Mine",
    }
    # When a worker starts
    ended = run_spider(
        "plain", tmp_path, arguments={"crawl": crawl_name}, settings=settings, env={"REDIS_URL": redis_url}
    )
    # Then it says what it ignores, refuses what would silently not be done, and does not run
    for name in ("DUPEFILTER_CLASS", "SCHEDULER_SERIALIZER", "REDIS_START_URLS_AS_SET"):
        assert ended.log.count(f"{name} is ignored: ") == 1
    assert "JOBDIR is ignored" not in ended.log
    assert "SCHEDULER_QUEUE_CLASS = project.queues.Mine can't be used on the frontier" in ended.log
    assert (ended.status, "Traceback" in ended.log) == (1, False)


def test_scrapy_redis_pipeline_and_stats_collector_work(
    site: str, redis_url: str, redis_client: redis.Redis, crawl_name: str, tmp_path: Path
) -> None:
    # Given a spider with scrapy-redis' pipeline and collector
    redis_client.rpush(f"{crawl_name}:start_urls", f"{site}{LEAF}a", f"{site}{LEAF}b")
    settings = {
        "SPIDER_MODULES": "tests.integration.spiders",
        "ITEM_PIPELINES": '{"scrapy_redis.pipelines.RedisPipeline": 300}',
        "REDIS_ITEMS_KEY": f"{crawl_name}:items",
        "STATS_CLASS": "scrapy_redis.stats.RedisStatsCollector",
        "STATS_KEY": f"{crawl_name}:stats",
        "SCHEDULER_PERSIST": "True",
    }
    # When it runs
    ended = run_spider(
        "plain", tmp_path, arguments={"crawl": crawl_name}, settings=settings, env={"REDIS_URL": redis_url}
    )
    # Then its items and figures are in Redis
    items = redis_client.lrange(f"{crawl_name}:items", 0, -1)
    assert sorted(json.loads(item)["url"] for item in items) == [f"{site}{LEAF}a", f"{site}{LEAF}b"]
    assert redis_client.hget(f"{crawl_name}:stats", "item_scraped_count") == b"2"
    assert (ended.status, "Spider closed (finished)" in ended.log) == (0, True)
