"""A crawl goes through all proxies that are well, and through nothing else."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.practice_site import PracticeSite, Visit, practice_site
from tests.helpers import RunningSpider, run_spider, start_spider, wait_until

from .forward_proxy import ForwardProxy, forward_proxy

PAGES = 60
HOST = "127.0.0.2"
LATE_MS = 20
"""How much later than it was sent a request may be seen on a machine that has other things to do."""
PASSWORD = "open-sesame"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PracticeSite]:
    """A host with 60 pages that takes 20 ms for each."""
    with practice_site(tmp_path, pages=PAGES, delay_ms=20, hosts=[HOST]) as site:
        yield site


@pytest.fixture
def proxies() -> Iterator[list[ForwardProxy]]:
    """Two of them."""
    with ExitStack() as stack:
        yield [stack.enter_context(forward_proxy(name)) for name in ("exit-a", "exit-b")]


@pytest.fixture
def options(
    tmp_path: Path, redis_url: str, crawl_name: str, site: PracticeSite, proxies: list[ForwardProxy]
) -> dict[str, Any]:
    """A worker that crawls the site through both, whose addresses are in a file."""
    file = tmp_path / "proxies.txt"
    file.write_text("".join(f"http://crawler:{PASSWORD}@{proxy.exit}\n" for proxy in proxies))
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name, "url": f"{site.url.rstrip('/')}/graph/0"},
        "settings": {
            "SPIDER_MODULES": "tests.integration.spiders",
            "ROBOTSTXT_OBEY": True,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 4,
            "FRONTIER_PROXIES": str(file),
            "LOG_LEVEL": "DEBUG",
        },
        "env": {"REDIS_URL": redis_url},
    }


@pytest.fixture
def worker(options: dict[str, Any]) -> Iterator[RunningSpider]:
    """That worker, at work."""
    with start_spider("graph", **options) as worker:
        yield worker


def pages_of(site: PracticeSite) -> set[str]:
    """The pages that were fetched well."""
    return {visit.path for visit in site.visits() if visit.path.startswith("/graph/") and visit.status == 200}


def through(site: PracticeSite, proxy: ForwardProxy) -> list[Visit]:
    """What the site was asked for through `proxy`."""
    return [visit for visit in site.visits() if visit.agent.endswith(f"via {proxy.name}")]


def stat(log: str, name: str) -> int:
    """A number of Scrapy's statistics at the end of a log, 0 where it isn't."""
    found = re.search(f"'{re.escape(name)}': ([0-9]+)", log)
    return int(found[1]) if found else 0


def dead_letters(client: redis.Redis, crawl: str) -> int:
    """How many the crawl has."""
    return int(client.hget(f"{{{crawl}}}:meta", "dead") or 0)


def test_requests_are_spread_over_all_proxies_and_no_password_is_shown(
    worker: RunningSpider, site: PracticeSite, proxies: list[ForwardProxy]
) -> None:
    # Given two proxies that want a password, when a site is crawled through them
    log = worker.end().log
    # Then it sees both about as often, robots.txt included, and nobody else
    assert len(pages_of(site)) == PAGES
    shares = [len(through(site, proxy)) for proxy in proxies]
    assert sum(shares) == len(site.visits())
    assert abs(shares[0] - shares[1]) <= 8
    # And what each was used for is counted under its host and port, and no log holds the password
    assert [stat(log, f"proxy/{proxy.exit}/requests") for proxy in proxies] == shares
    secret = base64.b64encode(f"crawler:{PASSWORD}".encode()).decode()
    assert {asked.authorization for proxy in proxies for asked in proxy.asked} == {f"Basic {secret}"}
    assert PASSWORD not in log
    assert secret not in log


def test_a_proxy_that_dies_amid_the_crawl_costs_no_page_and_is_not_taken_for_the_site(
    options: dict[str, Any],
    site: PracticeSite,
    proxies: list[ForwardProxy],
    redis_client: redis.Redis,
    crawl_name: str,
) -> None:
    # Given a crawl through two proxies
    options["settings"] |= {"FRONTIER_BACK_OFF_S": 60, "RETRY_TIMES": 1}
    with start_spider("graph", **options) as worker:
        wait_until(lambda: len(through(site, proxies[1])) >= 10)
        # When one of them dies
        proxies[1].die()
        log = worker.end().log
    # Then all pages are crawled through the other, and only those that were under way have tried the dead one
    assert len(pages_of(site)) == PAGES
    assert dead_letters(redis_client, crawl_name) == 0
    tried_in_vain = stat(log, f"proxy/{proxies[1].exit}/requests") - len(proxies[1].asked)
    assert tried_in_vain <= 4
    assert f"The proxy {proxies[1].exit} rests for 60 s" in log
    # And the site's host was never thought to be in trouble
    known = redis_client.get(f"{{{crawl_name}}}:manners:{HOST}") or b""
    assert not re.search(rb"[^\d ]", known)


def test_a_proxy_that_denies_itself_is_tried_less_and_less_often_until_it_is_well(
    options: dict[str, Any], site: PracticeSite, proxies: list[ForwardProxy]
) -> None:
    # Given a slow site and two proxies, of which one denies itself
    options["settings"] |= {"FRONTIER_BACK_OFF_S": 0.4, "DOWNLOAD_DELAY": 0.06}
    proxies[1].denies = True
    with start_spider("graph", **options) as worker:
        wait_until(lambda: len(proxies[1].asked) >= 3)
        # When it is well again
        proxies[1].denies = False
        log = worker.end().log
    # Then it was left alone for 0.4 and 0.8 s before, by one request each, and used as before from then on
    first, second, third = (asked.at_s for asked in proxies[1].asked[:3])
    assert second - first >= 0.4
    assert third - second >= 0.8
    assert len(through(site, proxies[1])) >= 5
    assert stat(log, f"proxy/{proxies[1].exit}/failures") >= 2
    assert len(pages_of(site)) == PAGES


def test_while_no_proxy_is_well_pages_wait_and_use_up_no_attempts(
    options: dict[str, Any],
    site: PracticeSite,
    proxies: list[ForwardProxy],
    redis_client: redis.Redis,
    crawl_name: str,
) -> None:
    # Given a crawl all of whose proxies die
    options["settings"] |= {"FRONTIER_BACK_OFF_S": 0.5, "FRONTIER_MAX_ATTEMPTS": 1}
    with start_spider("graph", **options) as worker:
        wait_until(lambda: len(pages_of(site)) >= 5)
        for proxy in proxies:
            proxy.die()
        wait_until(lambda: all(f"{p.exit} rests for 4 s" in worker.log_text for p in proxies), 30)
        # When one of them is there again
        proxies[0].revive()
        log = worker.end().log
    # Then all pages are crawled, none of them without a proxy
    assert len(pages_of(site)) == PAGES
    assert len(through(site, proxies[0])) + len(through(site, proxies[1])) == len(site.visits())
    assert dead_letters(redis_client, crawl_name) == 0
    # And nothing went round and round meanwhile
    assert stat(log, "frontier/released") < 60


def test_proxies_in_redis_are_added_and_taken_away_amid_a_crawl(
    options: dict[str, Any],
    site: PracticeSite,
    proxies: list[ForwardProxy],
    redis_client: redis.Redis,
    crawl_name: str,
) -> None:
    # Given a crawl whose proxies are in a Redis set, one at first
    key = f"{crawl_name}-proxies"
    redis_client.sadd(key, f"http://{proxies[0].exit}")
    options["settings"] |= {"FRONTIER_PROXIES": f"redis:{key}", "DOWNLOAD_DELAY": 0.15}
    with start_spider("graph", **options) as worker:
        wait_until(lambda: len(proxies[0].asked) >= 3)
        # When that is replaced by another
        redis_client.sadd(key, f"http://{proxies[1].exit}")
        redis_client.srem(key, f"http://{proxies[0].exit}")
        worker.end()
    # Then the crawl goes on through the other
    exits = [visit.agent.rpartition(" via ")[2] for visit in site.visits()]
    assert [name for name, _ in itertools.groupby(exits)] == ["exit-a", "exit-b"]
    assert len(pages_of(site)) == PAGES


@pytest.mark.parametrize("dies", [False, True])
def test_where_politeness_is_per_proxy_each_keeps_the_delay_of_the_host(
    dies: bool, options: dict[str, Any], site: PracticeSite, proxies: list[ForwardProxy]
) -> None:
    # Given a host that is owed 150 ms of each proxy
    options["settings"] |= {"FRONTIER_POLITE_PER_PROXY": True, "DOWNLOAD_DELAY": 0.15}
    with start_spider("graph", **options) as worker:
        wait_until(lambda: all(len(through(site, proxy)) >= 5 for proxy in proxies), 40)
        # When both are well, or one of them dies
        if dies:
            proxies[1].die()
        worker.end(90)
    # Then all pages are crawled, by no proxy faster than that, and by both faster than by one
    assert len(pages_of(site)) == PAGES
    for proxy in proxies:
        gaps_ms = [later.ms - earlier.ms for earlier, later in itertools.pairwise(through(site, proxy))]
        assert min(gaps_ms) >= 150 - LATE_MS
    visits = site.visits()
    if not dies:
        assert visits[-1].ms - visits[0].ms < 0.8 * 150 * len(visits)


def test_a_proxy_that_swallows_requests_rests_as_well(
    options: dict[str, Any], site: PracticeSite, proxies: list[ForwardProxy]
) -> None:
    # Given two proxies, of which one never answers
    proxies[1].swallows = True
    options["settings"] |= {"DOWNLOAD_TIMEOUT": 0.5, "FRONTIER_BACK_OFF_S": 60, "ROBOTSTXT_OBEY": False}
    # When a site is crawled through them
    log = run_spider("graph", **options).log
    # Then it is left alone after some, and all pages are crawled through the other
    assert f"The proxy {proxies[1].exit} rests for 60 s" in log
    assert len(proxies[1].asked) <= 8
    assert len(pages_of(site)) == PAGES


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("missing.txt", "FRONTIER_PROXIES: missing.txt can't be read ("),
        ("redis:{key}", "holds a string, not a list or set"),
    ],
)
def test_proxies_that_cannot_be_read_stop_the_worker_with_a_sentence(
    source: str,
    sentence: str,
    options: dict[str, Any],
    site: PracticeSite,
    redis_client: redis.Redis,
    crawl_name: str,
) -> None:
    # Given a setting that names nothing of use
    redis_client.set(f"{crawl_name}-text", "x")
    options["settings"]["FRONTIER_PROXIES"] = source.format(key=f"{crawl_name}-text")
    # When a worker starts
    ended = run_spider("graph", **options)
    # Then it says so and fails, and has asked no site for anything
    assert sentence in ended.log
    assert ended.status == 1
    assert "Traceback" not in ended.log
    assert site.visits() == []
