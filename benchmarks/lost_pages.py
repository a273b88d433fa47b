"""Real pages, several workers, one of them killed: what is lost?

    python -m benchmarks.lost_pages [--root FOLDER ...] [--workers 2] [--runs 1] [--only ours|stock]

The pages are Python's own documentation (Debian's package python3-doc) unless folders are named. Several
folders, such as that and the JDK's (openjdk-17-doc), are one site whose start page links to each.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pymongo
import redis
from rich.table import Table

from benchmarks.contenders import AT_FULL_SPEED, OURS, STOCK, Contender
from benchmarks.folder_site import FolderSite, Page, expected_pages, folder_site, page_of
from benchmarks.harness import BenchmarkError, Worker, report, run, wait_until
from crawlers.frontier import Frontier, Status, connect
from deploy.local.servers import MongoServer, RedisServer, mongo_server, redis_server

NAME = "lost_pages"
ROOTS = (Path("/usr/share/doc/python3-doc/html"), Path("/usr/share/doc/python3.11/html"))
CRAWL = "pages"
DATABASE = "lost_pages"
KILL_AT = 0.4
"""The share of the pages that were fetched when a worker is killed."""

_STOCK_IDLE_S = 10
_CRAWL_S = 1800


@dataclass(frozen=True)
class Outcome:
    """How a crawl went, in pages; `takeover_s` is None where nobody takes leases over.

    `stored` counts a page once, `twice` what came on top; `beside` was stored and not expected.
    `dead` letters are None where there are none to look at.
    """

    contender: str
    expected: int
    stored: int
    missing: int
    twice: int
    beside: int
    refetched_percent: float
    crawl_s: float
    takeover_s: float | None
    dead: int | None
    lost: list[str]


@dataclass(frozen=True)
class Bench:
    """The site, the servers and the folder of one crawl, the names of its workers, the pages it must find."""

    site: FolderSite
    redis: RedisServer
    mongo: MongoServer
    folder: Path
    names: tuple[str, ...]
    expected: frozenset[Page]


@dataclass(frozen=True)
class Crawled:
    """The page of each stored document, seconds until a killed worker was missed, and dead letters."""

    stored: list[Page]
    takeover_s: float | None = None
    dead: int | None = None


@contextmanager
def bench(root: Path, workers: int, expected: frozenset[Page]) -> Iterator[Bench]:
    """Everything that one crawl needs, made for it alone."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        site = stack.enter_context(folder_site(root))
        redis_at = stack.enter_context(redis_server(folder / "redis"))
        mongo_at = stack.enter_context(mongo_server(folder / "mongo"))
        names = tuple(f"worker-{number}" for number in range(workers))
        yield Bench(site, redis_at, mongo_at, folder, names, expected)


def start(
    at: Bench, contender: Contender, command: Sequence[str], settings: Mapping[str, object]
) -> list[Worker]:
    """The workers, each with a name of its own in the site's log."""
    return [
        Worker(
            [*command, *contender.arguments({**settings, "USER_AGENT": name})],
            contender.environ,
            at.folder / f"{name}.log",
        )
        for name in at.names
    ]


def kill_busiest(at: Bench, workers: Sequence[Worker]) -> tuple[list[Worker], float]:
    """Kill the worker that fetched most, once KILL_AT of the pages were fetched by all together.

    Returns the survivors, and the moment of the kill.
    """
    wait_until(
        lambda: len(at.site.fetched()) >= KILL_AT * len(at.expected),
        _CRAWL_S,
        workers[0].complaint,
    )
    fetches = Counter(visit.agent for visit in at.site.log.copy())
    *survivors, busiest = sorted(workers, key=lambda worker: fetches[worker.log.stem])
    busiest.kill()
    return survivors, time.perf_counter()


def crawl_ours(at: Bench) -> Crawled:
    """Crawl with this project until the fleet has finished."""
    settings = {
        **AT_FULL_SPEED,
        # A host's limit is the fleet's here and a worker's in stock: CONCURRENT_REQUESTS alone
        # lets both have as many requests open.
        "CONCURRENT_REQUESTS_PER_DOMAIN": 64,
        "REDIS_URL": at.redis.url,
        "MONGO_URI": at.mongo.uri,
        "MONGO_DATABASE": DATABASE,
    }
    command = ["crawl", "pages", "-a", f"url={at.site.url}"]
    with ExitStack() as stack:
        workers = [stack.enter_context(w) for w in start(at, OURS, command, settings)]
        survivors, killed_s = kill_busiest(at, workers)
        wait_until(lambda: len(status(at).workers) < len(at.names), _CRAWL_S, survivors[0].complaint)
        takeover_s = time.perf_counter() - killed_s
        for survivor in survivors:
            survivor.finish(_CRAWL_S)
    with pymongo.MongoClient[dict[str, str]](at.mongo.uri) as client:
        stored = [page_of(page["url"]) for page in client[DATABASE]["pages"].find()]
    return Crawled(stored, takeover_s, status(at).dead)


def status(at: Bench) -> Status:
    """What the frontier says of the crawl."""

    async def ask() -> Status:
        async with connect({"REDIS_URL": at.redis.url}) as client:
            return await Frontier(client, CRAWL).status()

    return asyncio.run(ask())


def crawl_stock(at: Bench) -> Crawled:
    """Crawl with stock scrapy-redis until its survivors have had nothing to do for 10 s.

    A page counts as stored once its callback is called: more than any pipeline would keep.
    """
    crawled = at.folder / "crawled.txt"
    settings = {**AT_FULL_SPEED, "REDIS_URL": at.redis.url}
    command = ["runspider", "benchmarks/spiders/stock_pages.py", "-a", f"crawled={crawled}"]
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(at.redis.url))
        workers = [stack.enter_context(w) for w in start(at, STOCK, command, settings)]
        for worker in workers:
            wait_until(lambda: "Spider opened" in worker.output(), 60, worker.complaint)  # noqa: B023
        client.lpush("stock_pages:start_urls", at.site.url)
        survivors, _ = kill_busiest(at, workers)
        wait_until(
            lambda: client.zcard("stock_pages:requests") == 0 and idle_s(at) > _STOCK_IDLE_S,
            _CRAWL_S,
            survivors[0].complaint,
        )
        for survivor in survivors:
            survivor.stop()
    return Crawled([page_of(url) for url in crawled.read_text().splitlines()])


def idle_s(at: Bench) -> float:
    """Seconds since the site was last asked for anything."""
    return time.perf_counter() - at.site.log[-1].at_s


CRAWLS: dict[str, tuple[Contender, Callable[[Bench], Crawled]]] = {
    "stock": (STOCK, crawl_stock),
    "ours": (OURS, crawl_ours),
}


def measure(name: str, root: Path, workers: int, expected: frozenset[Page]) -> Outcome:
    """One crawl with a kill in its midst, held against what must be found."""
    contender, crawl = CRAWLS[name]
    with bench(root, workers, expected) as at:
        crawled = crawl(at)
        visits = at.site.log
    times = Counter(crawled.stored)
    distinct = {visit.page for visit in visits}
    lost = expected - times.keys()
    return Outcome(
        contender=contender.name,
        expected=len(expected),
        stored=len(times),
        missing=len(lost),
        twice=sum(number - 1 for number in times.values()),
        beside=len(times.keys() - expected),
        refetched_percent=100 * (len(visits) - len(distinct)) / len(distinct),
        crawl_s=visits[-1].at_s - visits[0].at_s,
        takeover_s=crawled.takeover_s,
        dead=crawled.dead,
        lost=sorted(path for path, _ in lost),
    )


def table(outcomes: Sequence[Outcome], workers: int) -> Table:
    """A line for each crawl."""
    shown = Table(title=f"Pages of a real site, {workers} workers, one killed in the middle")
    headings = ("expected", "stored", "missing", "twice", "beside", "dead", "refetched")
    shown.add_column("crawled by")
    for heading in (*headings, "crawl s", "takeover s"):
        shown.add_column(heading, justify="right")
    for one in outcomes:
        dead = "unknown" if one.dead is None else one.dead
        counts = (one.expected, one.stored, one.missing, one.twice, one.beside, dead)
        takeover = "never" if one.takeover_s is None else f"{one.takeover_s:.1f}"
        shares = (f"{one.refetched_percent:.1f} %", f"{one.crawl_s:.1f}", takeover)
        shown.add_row(one.contender, *map(str, counts), *shares)
    return shown


@contextmanager
def root_of(named: Sequence[Path]) -> Iterator[Path]:
    """The folder to crawl: the one that is named, or one with a start page that links to each of several."""
    for folder in named:
        if not folder.is_dir():
            raise BenchmarkError(f"{folder} is no folder: name another --root.")
    found = list(named) or [root for root in ROOTS if root.is_dir()][:1]
    if not found:
        raise BenchmarkError(f"{ROOTS[0]} is no folder: install python3-doc, or name a --root.")
    if len(found) == 1:
        yield found[0].resolve()
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        for number, folder in enumerate(found):
            Path(name, str(number)).symlink_to(folder.resolve())
        links = "".join(f'<a href="/{number}/">{folder}</a>' for number, folder in enumerate(found))
        Path(name, "index.html").write_text(f"<title>Trees</title>{links}")
        yield Path(name)


def main() -> None:
    """Crawl with both contenders, as often as asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lost_pages", description=__doc__)
    parser.add_argument(
        "--root", type=Path, action="append", default=[], help="a folder of HTML pages with an index.html"
    )
    parser.add_argument("--workers", type=int, default=2, help="how many crawl; one of them is killed")
    parser.add_argument("--runs", type=int, default=1, help="crawls of each contender")
    parser.add_argument("--only", choices=CRAWLS, help="leave the other one out")
    options = parser.parse_args()
    names = [options.only] if options.only else list(CRAWLS)
    with root_of(options.root) as root:
        expected = frozenset(expected_pages(root))
        outcomes = [
            measure(name, root, options.workers, expected) for _ in range(options.runs) for name in names
        ]
    shown = {"roots": list(map(str, options.root)), "workers": options.workers}
    report(NAME, [table(outcomes, options.workers)], {**shown, "crawls": list(map(asdict, outcomes))})


if __name__ == "__main__":
    run(main)
