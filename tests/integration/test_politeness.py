"""What sites see of a whole fleet, by their own logs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from benchmarks.delay_proxy import delayed
from deploy.local.practice_site import NEVER, Behaviour, PracticeSite, Visit, practice_site
from tests.helpers import RunningSpider, start_spider, wait_until

PAGES = 30
LATE_MS = 20
"""How much later than it was sent a request may be seen on a machine that has other things to do."""
HOSTS = ("127.0.0.2", "127.0.0.3")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PracticeSite]:
    """Two hosts with 30 pages each."""
    with practice_site(tmp_path, pages=PAGES, hosts=HOSTS) as site:
        yield site


class Fleet(ExitStack):
    """Workers of one crawl that begin at /graph/0 of `hosts`."""

    def __init__(self, folder: Path, redis_url: str, crawl: str, site: PracticeSite) -> None:
        super().__init__()
        self._folder, self._redis_url, self._crawl = folder, redis_url, crawl
        self._port = site.url.rstrip("/").rpartition(":")[2]
        self.workers: list[RunningSpider] = []

    def start(self, number: int, *hosts: str, **settings: object) -> None:
        """Starts so many of them."""
        urls = ",".join(f"http://{host}:{self._port}/graph/0" for host in hosts or HOSTS[:1])
        options: dict[str, Any] = {
            "arguments": {"crawl": self._crawl, "url": urls},
            "settings": {"SPIDER_MODULES": "tests.integration.spiders", "ROBOTSTXT_OBEY": True, **settings},
            "env": {"REDIS_URL": self._redis_url},
        }
        for _ in range(number):
            self.workers.append(self.enter_context(start_spider("graph", self._folder, **options)))

    def end(self) -> list[str]:
        """Waits for all that run; returns their logs."""
        return [worker.end(90).log for worker in self.workers if worker.running or worker.exit_status == 0]


@pytest.fixture
def fleet(tmp_path: Path, redis_url: str, crawl_name: str, site: PracticeSite) -> Iterator[Fleet]:
    """No worker yet."""
    with Fleet(tmp_path, redis_url, crawl_name, site) as fleet:
        yield fleet


def visits_of(site: PracticeSite, host: str) -> list[Visit]:
    """All requests to `host`, in their order."""
    return [visit for visit in site.visits() if visit.host.startswith(f"{host}:")]


def gaps_ms(visits: list[Visit]) -> list[float]:
    """From the start of one request to the start of the next."""
    return [later.ms - earlier.ms for earlier, later in itertools.pairwise(visits)]


def pages_of(visits: list[Visit]) -> set[str]:
    """The pages that were fetched well."""
    return {visit.path for visit in visits if visit.path.startswith("/graph/") and visit.status == 200}


@pytest.mark.parametrize("fast", [False, True])
def test_the_delay_of_a_host_holds_over_a_fleet_one_of_which_is_killed(
    fast: bool, fleet: Fleet, site: PracticeSite
) -> None:
    # Given three workers and two hosts, each of which is owed 150 ms
    fleet.start(3, *HOSTS, DOWNLOAD_DELAY=0.15, FRONTIER_LEASE_TTL_S=2, FAST_PROFILE=fast)
    wait_until(lambda: len(site.visits()) > PAGES // 2, 60)
    # When one of them is killed amid the crawl
    fleet.workers[0].kill()
    fleet.end()
    # Then no host has seen two requests too close to each other, and all pages were fetched
    for host in HOSTS:
        visits = visits_of(site, host)
        assert len(pages_of(visits)) == PAGES
        assert min(gaps_ms(visits)) >= 150 - LATE_MS


def test_robots_txt_is_read_once_by_the_fleet_and_its_crawl_delay_holds(
    fleet: Fleet, site: PracticeSite
) -> None:
    # Given a host whose robots.txt asks for 120 ms, and forbids ten pages
    site.tell(HOSTS[0], Behaviour(robots="User-agent: *\nCrawl-delay: 0.12\nDisallow: /graph/2\n"))
    # When three workers crawl it
    fleet.start(3)
    fleet.end()
    # Then it was asked for robots.txt once, first of all, and obeyed
    visits = visits_of(site, HOSTS[0])
    assert [visit.path for visit in visits].count("/robots.txt") == 1
    assert visits[0].path == "/robots.txt"
    assert not [visit for visit in visits if visit.path.startswith("/graph/2")]
    assert len(pages_of(visits)) > 5
    assert min(gaps_ms(visits)) >= 120 - LATE_MS


def test_a_crawl_delay_beyond_all_bounds_ends_no_worker_and_is_followed_up_to_the_most(
    fleet: Fleet, site: PracticeSite
) -> None:
    # Given a host whose robots.txt asks for more than any clock counts, and a most of 100 ms
    site.tell(HOSTS[0], Behaviour(robots="User-agent: *\nCrawl-delay: 99999999999999999999\n"))
    # When two workers crawl it
    fleet.start(2, FRONTIER_CRAWL_DELAY_MAX_S=0.1)
    logs = fleet.end()
    # Then all of its pages were fetched, 100 ms apart, and what it asked for was said once
    visits = visits_of(site, HOSTS[0])
    assert len(pages_of(visits)) == PAGES
    assert min(gaps_ms(visits)) >= 100 - LATE_MS
    assert sum(log.count("asks in its robots.txt for") for log in logs) == 1
    assert not any("Traceback" in log or "frontier_error" in log for log in logs)


def test_while_robots_txt_answers_with_an_error_no_page_is_fetched(fleet: Fleet, site: PracticeSite) -> None:
    # Given a host whose robots.txt answers 503 at first
    site.tell(HOSTS[0], Behaviour(robots_status=503))
    fleet.start(2, FRONTIER_BACK_OFF_S=0.2)
    wait_until(lambda: len(visits_of(site, HOSTS[0])) >= 3, 60)
    # When it answers well
    before = visits_of(site, HOSTS[0])
    site.tell(HOSTS[0], Behaviour())
    logs = fleet.end()
    # Then until then only it was asked for, and afterwards all pages were fetched
    assert {visit.path for visit in before} == {"/robots.txt"}
    assert len(pages_of(visits_of(site, HOSTS[0]))) == PAGES
    assert not any("Traceback" in log for log in logs)


def test_a_crawl_that_waits_for_a_host_says_so_once_and_what_for(fleet: Fleet, site: PracticeSite) -> None:
    # Given a host whose robots.txt answers 500
    site.tell(HOSTS[0], Behaviour(robots_status=500))
    # When a worker is at it for a while
    fleet.start(1, FRONTIER_QUIET_S=0.5, FRONTIER_BACK_OFF_S=4)
    wait_until(lambda: "The crawl waits for" in fleet.workers[0].log_text, 30)
    time.sleep(2)
    # Then it has said once, as a warning, for whom, how many pages, and why
    (said,) = [line for line in fleet.workers[0].log_text.splitlines() if "The crawl waits for" in line]
    assert "WARNING" in said
    assert f"waits for {HOSTS[0]}, which may be asked again at" in said
    assert "(robots.txt: HTTP 500); 1 pages wait" in said


def test_a_host_without_robots_txt_is_free(fleet: Fleet, site: PracticeSite) -> None:
    # Given a host that has none, when it is crawled, then all of it is
    site.tell(HOSTS[0], Behaviour(robots_status=404))
    fleet.start(1)
    fleet.end()
    assert len(pages_of(visits_of(site, HOSTS[0]))) == PAGES


def test_a_host_never_has_more_requests_open_than_its_limit_over_a_fleet_one_of_which_is_killed(
    fleet: Fleet, site: PracticeSite
) -> None:
    # Given two workers that could have 64 requests open at slow hosts that take three
    for host in HOSTS:
        site.tell(host, Behaviour(latency_ms=40))
    fleet.start(2, *HOSTS, CONCURRENT_REQUESTS_PER_DOMAIN=3, FRONTIER_LEASE_TTL_S=2)
    wait_until(lambda: len(site.visits()) > PAGES // 2, 60)
    # When one of them is killed amid the crawl
    fleet.workers[0].kill()
    fleet.end()
    # Then no host ever had more than three, had three at times, and all its pages were fetched
    for host in HOSTS:
        visits = visits_of(site, host)
        assert max(visit.open for visit in visits) == 3
        assert len(pages_of(visits)) == PAGES


@pytest.mark.parametrize("lean", [False, True])
def test_a_worker_that_leases_ahead_keeps_to_the_limit_of_a_host(
    lean: bool, fleet: Fleet, site: PracticeSite
) -> None:
    # Given a worker that could have 32 requests open, and a slow host that takes two
    site.tell(HOSTS[0], Behaviour(latency_ms=20))
    fleet.start(1, CONCURRENT_REQUESTS_PER_DOMAIN=2, FRONTIER_LEAN=lean)
    # When it crawls that host
    fleet.end()
    # Then two were open at most, and at times, and all pages were fetched
    visits = visits_of(site, HOSTS[0])
    assert max(visit.open for visit in visits) == 2
    assert len(pages_of(visits)) == PAGES


@pytest.mark.parametrize("limit", [1, 8])
def test_a_worker_that_leases_ahead_never_waits_for_a_page_that_it_has(
    limit: int, tmp_path: Path, redis_url: str, crawl_name: str
) -> None:
    # Given a worker far from Redis, whose pages end while its exchanges are under way
    address = urlsplit(redis_url)
    with (
        practice_site(tmp_path, pages=400, hosts=HOSTS[:1]) as site,
        delayed(address.port or 6379, 40) as far,
    ):
        far_url = address._replace(netloc=f"{address.hostname}:{far}").geturl()
        with Fleet(tmp_path, far_url, crawl_name, site) as fleet:
            fleet.start(1, CONCURRENT_REQUESTS_PER_DOMAIN=limit)
            # When it crawls a host
            fleet.end()
        visits = visits_of(site, HOSTS[0])
    # Then it never stands still until its engine, which looks by itself every 5 s, finds what it may start
    assert len(pages_of(visits)) == 400
    assert max(gaps_ms(visits)) < 2_000


def test_a_host_that_says_retry_after_is_left_alone_by_the_whole_fleet(
    fleet: Fleet, site: PracticeSite, redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given three workers at a slow host, which then answers 429 for a second
    site.tell(HOSTS[0], Behaviour(latency_ms=50))
    fleet.start(3, CONCURRENT_REQUESTS_PER_DOMAIN=2)
    wait_until(lambda: len(pages_of(visits_of(site, HOSTS[0]))) > 5, 60)
    site.tell(HOSTS[0], Behaviour(status=429, retry_after="2", for_s=1))
    # When all have heard of it
    fleet.end()
    # Then nothing but what was open at that moment was asked for in the two seconds after the first
    visits = visits_of(site, HOSTS[0])
    refused = [visit.ms for visit in visits if visit.status == 429]
    later = [ms for ms in (visit.ms for visit in visits) if refused[0] < ms < refused[0] + 2000 - LATE_MS]
    assert len(later) <= 2
    # And all pages were fetched in the end, none of them counted as failed
    assert len(pages_of(visits)) == PAGES
    assert int(redis_client.hget(f"{{{crawl_name}}}:meta", "dead") or 0) == 0


def test_a_host_that_never_answers_does_not_hold_up_another(fleet: Fleet, site: PracticeSite) -> None:
    # Given two hosts, one of which takes requests and never answers
    site.tell(HOSTS[1], Behaviour(status=NEVER))
    # When both are crawled
    fleet.start(1, *HOSTS, CONCURRENT_REQUESTS=4)
    # Then all pages of the other are there long before the first gives up, which was asked for one thing only
    wait_until(lambda: len(pages_of(visits_of(site, HOSTS[0]))) == PAGES, 30)
    assert [visit.path for visit in visits_of(site, HOSTS[1])] == ["/robots.txt"]


def test_the_delay_follows_the_latency_of_a_host(fleet: Fleet, site: PracticeSite) -> None:
    # Given a host that takes 120 ms for each answer, and two workers that are to have one request open
    site.tell(HOSTS[0], Behaviour(latency_ms=120))
    fleet.start(2, AUTOTHROTTLE_ENABLED=True, AUTOTHROTTLE_START_DELAY=0.3)
    # When they crawl it
    fleet.end()
    # Then the gaps have come down to about its latency, over both of them
    gaps = gaps_ms(visits_of(site, HOSTS[0]))
    assert len(gaps) >= PAGES
    assert gaps[0] >= 250
    assert min(gaps) >= 120 - LATE_MS
    assert sorted(gaps[-10:])[5] < 250


def test_what_a_spider_downloads_beside_the_queue_waits_its_turn_as_well(
    tmp_path: Path, redis_url: str, crawl_name: str, site: PracticeSite
) -> None:
    # Given a spider whose callback downloads three more pages by itself, and a delay of 100 ms
    url = f"{site.url.rstrip('/')}/graph/0"
    options: dict[str, Any] = {
        "arguments": {"crawl": crawl_name, "url": url},
        "settings": {
            "SPIDER_MODULES": "tests.integration.spiders",
            "ITEM_PIPELINES": "{}",
            "DOWNLOAD_DELAY": 0.1,
        },
        "env": {"REDIS_URL": redis_url},
    }
    # When it runs
    began_s = time.monotonic()
    with start_spider("beside", tmp_path, **options) as worker:
        worker.end()
    # Then these come in turns of their own
    visits = visits_of(site, HOSTS[0])
    assert len(visits) == 5
    assert min(gaps_ms(visits)) >= 100 - LATE_MS
    assert time.monotonic() - began_s < 30


def test_names_of_one_address_share_its_delay_where_the_address_is_the_key(
    tmp_path: Path, redis_url: str, crawl_name: str
) -> None:
    # Given a site that is reached under two names, and two workers that keep delays by address
    with practice_site(tmp_path, pages=8) as site:
        port = site.url.rstrip("/").rpartition(":")[2]
        with Fleet(tmp_path, redis_url, crawl_name, site) as fleet:
            # When they crawl it under both
            fleet.start(2, "127.0.0.1", "localhost", DOWNLOAD_DELAY=0.1, FRONTIER_HOST_KEY="ip")
            fleet.end()
        visits = site.visits()
    # Then it saw each name, and no two requests too close to each other
    assert {visit.host for visit in visits} == {f"127.0.0.1:{port}", f"localhost:{port}"}
    assert len(visits) == 20  # a start page is fetched once more for the links that lead to it
    assert min(gaps_ms(visits)) >= 100 - LATE_MS


def test_spiders_learn_of_sitemaps_from_a_robots_txt_that_another_worker_fetched(
    tmp_path: Path, redis_url: str, crawl_name: str, site: PracticeSite
) -> None:
    # Given a robots.txt with a sitemap, and spiders that listen to Scrapy's signal
    site.tell(HOSTS[0], Behaviour(robots="Sitemap: http://example.com/map.xml\n"))
    options: dict[str, Any] = {
        "arguments": {"crawl": crawl_name, "url": f"{site.url.rstrip('/')}/graph/0"},
        "settings": {"SPIDER_MODULES": "tests.integration.spiders", "ROBOTSTXT_OBEY": True},
        "env": {"REDIS_URL": redis_url},
    }
    # When two workers run one after the other
    logs = []
    for _ in range(2):
        with start_spider("sitemaps", tmp_path, **options) as worker:
            logs.append(worker.end().log)
    # Then both know of it, and the site was asked once
    assert all("Sitemap http://example.com/map.xml" in log for log in logs)
    assert [visit.path for visit in visits_of(site, HOSTS[0])].count("/robots.txt") == 1
