"""Workers that crawl a few hosts of the practice site together, watched from the site."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar
from urllib.parse import urlsplit

import pymongo
import redis

from benchmarks.contenders import AT_FULL_SPEED, OURS, STOCK, Contender
from benchmarks.harness import BenchmarkError, Worker, wait_until
from deploy.local.practice_site import PracticeSite, Visit, practice_site
from deploy.local.servers import MongoServer, RedisServer, mongo_server, redis_server

DATABASE = "politeness"
SETTINGS: Mapping[str, object] = {
    **AT_FULL_SPEED,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
    "ROBOTSTXT_OBEY": True,
    # A delay of half the length would otherwise be right every other time.
    "RANDOMIZE_DOWNLOAD_DELAY": False,
    "MAX_IDLE_TIME_BEFORE_CLOSE": 0,
}
"""What all crawls have in common: those of this project's settings that bear on politeness."""

_START_S = 120
_CRAWL_S = 900
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Crawl:
    """What is crawled by whom: `pages` on each of `hosts`, and what is set besides SETTINGS."""

    workers: int
    hosts: int
    pages: int
    settings: Mapping[str, object]
    latency_ms: int = 0


@dataclass
class Ground:
    """A Redis, a MongoDB and a folder for any number of crawls in turn.

    `site_goes_first` tells whether the last crawl's site was a real-time process.
    """

    redis: RedisServer
    mongo: MongoServer
    folder: Path
    site_goes_first: bool = False

    def clear(self) -> None:
        """Forget the last crawl."""
        with redis.Redis.from_url(self.redis.url) as client:
            client.flushall()
        with pymongo.MongoClient[dict[str, str]](self.mongo.uri) as mongo:
            mongo.drop_database(DATABASE)


@contextmanager
def ground() -> Iterator[Ground]:
    """The servers, gone without a trace at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="benchmark-")))
        redis_at = stack.enter_context(redis_server(folder / "redis"))
        mongo_at = stack.enter_context(mongo_server(folder / "mongo"))
        yield Ground(redis_at, mongo_at, folder)


class Fleet:
    """The workers of one contender on a site of their own; start them, `push`, and look on."""

    contender: ClassVar[Contender]
    key: ClassVar[str]
    """Where its spider reads start URLs."""
    quiet_s: ClassVar[float]
    """A crawl of which the site has heard nothing for so long is over."""

    def __init__(self, at: Ground, folder: Path, site: PracticeSite, crawl: Crawl) -> None:
        self.at = at
        self.folder = folder
        self.site = site
        self.crawl = crawl
        port = urlsplit(site.url).port
        self.hosts = [f"{address}:{port}" for address in addresses(crawl.hosts)]
        names = [f"worker-{number}" for number in range(crawl.workers)]
        self._by_name = {name: self._worker(name) for name in names}
        self.workers = list(self._by_name.values())

    def command(self) -> Sequence[str]:
        """Its `scrapy` command."""
        raise NotImplementedError

    def stored(self) -> set[str]:
        """The URLs of the pages it says it has."""
        raise NotImplementedError

    def _worker(self, name: str) -> Worker:
        settings = {
            **SETTINGS,
            "USER_AGENT": name,
            "REDIS_URL": self.at.redis.url,
            "MONGO_URI": self.at.mongo.uri,
            "MONGO_DATABASE": DATABASE,
            **self.crawl.settings,
        }
        command = [*self.command(), *self.contender.arguments(settings)]
        return Worker(command, self.contender.environ, self.folder / f"{name}.log")

    def push(self) -> None:
        """Once all workers wait for it, give them the first URL of each host."""
        self._wait(lambda: all("Spider opened" in worker.output() for worker in self.workers), _START_S)
        with redis.Redis.from_url(self.at.redis.url) as client:
            client.lpush(self.key, *(f"http://{host}/graph/" for host in self.hosts))

    def visits(self) -> dict[str, list[Visit]]:
        """What each host was asked for so far, robots.txt included, in order."""
        visits = defaultdict(list)
        for visit in self.site.visits():
            visits[visit.host].append(visit)
        return visits

    def missing(self, hosts: Sequence[str]) -> int:
        """How many pages of these hosts were not yet served well, or aren't stored."""
        served = {f"http://{v.host}{v.path}" for v in self.site.visits() if v.status == 200}
        found = served & self.stored()
        wanted = {f"http://{host}/graph/{page}" for host in hosts for page in range(self.crawl.pages)}
        return len(wanted - found)

    def wait_for_requests(self, count: int, host: str = "") -> None:
        """Until one host (empty: all together) was asked for so many pages, robots.txt aside."""
        self._wait(lambda: sum(is_page(v) and host in v.host for v in self.site.visits()) >= count)

    def wait_for_pages(self, hosts: Sequence[str]) -> int:
        """Until all pages of these hosts are there, or nothing happens any more; how many are missing."""
        self._wait(lambda: self._is_quiet() or not self.missing(hosts))
        return self.missing(hosts)

    def kill_one(self) -> float:
        """`kill -9` a worker that has just asked for a page and waits for it; the moment in ms."""
        self._wait(self._kill_who_asks, every_s=0.01)
        return time.monotonic() * 1000

    def _kill_who_asks(self) -> bool:
        visit = self.site.visits()[-1]
        if not is_page(visit) or time.monotonic() * 1000 > visit.ms + self.crawl.latency_ms / 2:
            return False
        self._by_name[visit.agent].kill()
        return True

    def _wait(
        self, condition: Callable[[], object], timeout_s: float = _CRAWL_S, every_s: float = _LOOK_EVERY_S
    ) -> None:
        """Until `condition` holds; a BenchmarkError if a worker that nobody killed ends before."""

        def holds() -> object:
            for worker in self.workers:
                if (ended := worker.poll()) and ended.code != -signal.SIGKILL:
                    raise BenchmarkError(worker.complaint())
            return condition()

        wait_until(holds, timeout_s, self.workers[0].complaint, every_s)

    def _is_quiet(self) -> bool:
        last_ms = max((visit.ms for visit in self.site.visits()), default=time.monotonic() * 1000)
        return time.monotonic() - last_ms / 1000 > self.quiet_s


class OurFleet(Fleet):
    """This project's workers; a page is stored once its document is in MongoDB."""

    contender = OURS
    key = "pages:start_urls"
    quiet_s = 40  # a killed worker's pages go to others after FRONTIER_LEASE_TTL_S, 20 s

    def command(self) -> Sequence[str]:
        """The project's own spider."""
        return ["crawl", "pages"]

    def stored(self) -> set[str]:
        """The documents that were made of an answer with status 200."""
        with pymongo.MongoClient[dict[str, str]](self.at.mongo.uri) as mongo:
            return {page["url"] for page in mongo[DATABASE]["pages"].find({"status": 200})}


class StockFleet(Fleet):
    """Stock scrapy-redis; a page counts as stored once its callback is called."""

    contender = STOCK
    key = "stock_pages:start_urls"
    quiet_s = 15  # an idle engine wakes every 5 s

    @property
    def _crawled(self) -> Path:
        return self.folder / "crawled.txt"

    def command(self) -> Sequence[str]:
        """The same spider, kept from this project's scheduler."""
        return ["runspider", "benchmarks/spiders/stock_pages.py", "-a", f"crawled={self._crawled}"]

    def stored(self) -> set[str]:
        """The pages it noted."""
        return set(self._crawled.read_text().splitlines()) if self._crawled.exists() else set()


FLEETS: Mapping[str, type[Fleet]] = {"stock": StockFleet, "ours": OurFleet}


def is_page(visit: Visit) -> bool:
    """Whether it asked for anything but robots.txt."""
    return visit.path != "/robots.txt"


def addresses(hosts: int) -> list[str]:
    """So many loopback addresses."""
    return [f"127.0.0.{2 + number}" for number in range(hosts)]


@contextmanager
def fleet(kind: type[Fleet], at: Ground, crawl: Crawl) -> Iterator[Fleet]:
    """A site, and workers that have just been started; killed at the end."""
    at.clear()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="crawl-", dir=at.folder)))
        hosts = addresses(crawl.hosts)
        site = practice_site(folder, quotes=1, pages=crawl.pages, delay_ms=crawl.latency_ms, hosts=hosts)
        running = kind(at, folder, stack.enter_context(site), crawl)
        at.site_goes_first = goes_first(running.site)
        for worker in running.workers:
            stack.enter_context(worker)
        yield running


def goes_first(site: PracticeSite) -> bool:
    """Make the site a real-time process, for it is its clock that measures; False if not permitted.

    With three busy processes on two cores the site noted a request up to 0.2 ms late as a real-time
    process, and up to 7 ms late at any niceness.
    """
    try:
        os.sched_setscheduler(site.process.pid, os.SCHED_FIFO, os.sched_param(1))
    except (AttributeError, PermissionError):  # only Linux has it, and there it takes root
        return False
    return True
