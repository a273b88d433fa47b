"""`make crawl`: a whole crawl on this machine, with real servers and several workers, to watch.

`python -m deploy.local.crawl --help` names the options.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from redis import RedisError

from crawlers.frontier import Frontier, FrontierError, connect

from .binaries import ServerError
from .crawl_view import Outcome, Sample, Snapshot, View
from .practice_site import PracticeSite, practice_site
from .processes import Process
from .servers import DATA, mongo_uri, redis_url, stop_on_signals

ROOT = Path(__file__).resolve().parents[2]

SITE_PORT = 8642
"""The practice site's port where it is free: pages keep their address from one run to the next."""

SITE_QUOTES = 3000
SITE_PAGES = 2000

# The practice site is ours alone; anybody else's is asked as politely as the settings say.
_UNLIMITED = ("-s", "CONCURRENT_REQUESTS_PER_DOMAIN=1000")

_LOOK_EVERY_S = 0.25
_GRACE_S = 30
_SAMPLES = 3
_LAST_LINES = 15

Document = dict[str, object]


class Worker(Process):
    """One `scrapy crawl` in a process of its own."""

    def __init__(self, crawl: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        """Prepare to run `scrapy crawl` with these arguments."""
        super().__init__(
            [sys.executable, "-m", "scrapy", "crawl", *crawl],
            log,
            cwd=ROOT,
            env={**os.environ, **env},
        )
        self.name = log.stem

    def outcome(self) -> Outcome:
        """What its log and its exit status tell once it has ended."""
        log = self.output()
        reason = re.search(r"Spider closed \((.+?)\)", log)
        return Outcome(
            name=self.name,
            pages=_stat(log, "downloader/response_count"),
            items=_stat(log, "item_scraped_count"),
            errors=_stat(log, "log_count/ERROR"),
            reason=reason[1] if reason else "none",
            status=self.exit_status,
        )


def _stat(log: str, name: str) -> int:
    """A number of Scrapy's closing statistics, 0 where it is not among them."""
    found = re.search(rf"'{re.escape(name)}': (\d+)", log)
    return int(found[1]) if found else 0


class Show:
    """Watches a crawl from its start to its end."""

    def __init__(self, frontier: Frontier, database: AsyncDatabase[Document], view: View) -> None:
        self._frontier = frontier
        self._database = database
        self._view = view
        self._interrupts = 0

    async def run(self, workers: list[Worker]) -> None:
        """Start the workers and return when the last of them has ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt, workers)
        started_s = time.monotonic()
        before = await self._frontier.status()
        if before.enqueued and not before.finished:
            self._view.say(f"An interrupted crawl goes on: {before.done:,} pages of it are done.")
        for worker in workers:
            worker.start()
        while any(worker.running for worker in workers):
            await asyncio.sleep(_LOOK_EVERY_S)
            # The workers wait for servers that are away; so does the show.
            with suppress(RedisError, PyMongoError):
                status = await self._frontier.status()
                documents = await self._documents()
                if status.run != before.run or not before.finished:
                    elapsed_s = time.monotonic() - started_s
                    self._view.show(Snapshot(elapsed_s, status, documents))

    @property
    def interrupted(self) -> bool:
        """Whether somebody wanted it to end early."""
        return self._interrupts > 0

    async def samples(self) -> list[Sample]:
        """What is in the database now: each collection, how many documents, and a few of them."""
        counts = await self._documents()
        return [
            Sample(name, count, await self._database[name].find().limit(_SAMPLES).to_list())
            for name, count in sorted(counts.items())
        ]

    async def _documents(self) -> dict[str, int]:
        names = await self._database.list_collection_names()
        return {name: await self._database[name].estimated_document_count() for name in names}

    def _interrupt(self, workers: list[Worker]) -> None:
        """The first Ctrl-C lets the workers finish what they hold, the second does not."""
        self._interrupts += 1
        if self._interrupts > 1:
            return _kill(workers)
        self._view.say("Stopping: the workers finish what they hold (Ctrl-C again: at once).")
        for worker in workers:
            worker.signal(signal.SIGINT)
        asyncio.get_running_loop().call_later(_GRACE_S, _kill, workers)
        return None


def _kill(workers: list[Worker]) -> None:
    for worker in workers:
        worker.kill()


async def _crawl(options: argparse.Namespace, url: str, env: Mapping[str, str]) -> int:
    """Run the workers, show what they do and what came of it; returns the exit status."""
    crawl = [options.spider, "-a", f"url={url}", *([] if options.url else _UNLIMITED)]
    view = View(f"scrapy crawl {' '.join(crawl)}", f"{options.workers} workers")
    logs = [options.data / f"logs/worker-{number}.log" for number in range(1, options.workers + 1)]
    workers = [Worker(crawl, log, env) for log in logs]
    redis = connect(env)
    started_s = time.monotonic()
    try:
        async with AsyncMongoClient[Document](env["MONGO_URI"]) as mongo:
            show = Show(Frontier(redis, options.spider), mongo[env["MONGO_DATABASE"]], view)
            with view:
                await show.run(workers)
            elapsed_s = time.monotonic() - started_s
            view.results(await show.samples(), env["MONGO_DATABASE"])
    finally:
        _kill(workers)
        await redis.aclose()
    view.outcomes([worker.outcome() for worker in workers], elapsed_s)
    if show.interrupted:
        return 130
    failed = [worker for worker in workers if worker.exit_status]
    for worker in failed:
        last_lines = worker.output().splitlines()[-_LAST_LINES:]
        view.failure(worker.name, worker.log, last_lines)
    return 1 if failed else 0


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Hold the folder for this crawl; ServerError if another crawl does."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "crawl.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerError(f"Another `make crawl` is using {data}: wait until it has ended.") from None
        yield


@contextmanager
def _site(spider: str, logs: Path) -> Iterator[str]:
    """A practice site for the while; its quotes for the quotes spider, its graph for others."""
    with ExitStack() as stack:
        try:
            site = stack.enter_context(_site_on(SITE_PORT, logs))
        except ServerError:
            site = stack.enter_context(_site_on(0, logs))
        yield site.url if spider == "quotes" else f"{site.url}graph/"


def _site_on(port: int, logs: Path) -> AbstractContextManager[PracticeSite]:
    return practice_site(logs, port=port, quotes=SITE_QUOTES, pages=SITE_PAGES)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.crawl", description=__doc__)
    parser.add_argument("--spider", default="quotes")
    parser.add_argument("--url", default="", help="where to start; empty: a practice site")
    parser.add_argument("--workers", default="2", help="how many processes share the crawl")
    parser.add_argument("--data", type=Path, default=DATA, help="where servers keep data and logs")
    options = parser.parse_args()
    if not options.workers.isdecimal() or not 1 <= int(options.workers) <= 64:
        parser.exit(2, f"WORKERS must be a number from 1 to 64, not {options.workers!r}.\n")
    if options.url and not re.match(r"https?://[^/]", options.url):
        parser.exit(2, f"URL must begin with http:// or https://, unlike {options.url!r}.\n")
    options.workers = int(options.workers)
    return options


def main() -> int:
    """Crawl, show it and return the exit status: 0 only if every worker ended well."""
    options = _options()
    stop_on_signals()
    try:
        with ExitStack() as stack:
            stack.enter_context(_alone(options.data))
            env = {
                "REDIS_URL": stack.enter_context(redis_url(options.data / "redis")),
                "MONGO_URI": stack.enter_context(mongo_uri(options.data / "mongo")),
                "MONGO_DATABASE": os.environ.get("MONGO_DATABASE", "crawlers"),
            }
            url = options.url or stack.enter_context(_site(options.spider, options.data / "logs"))
            return asyncio.run(_crawl(options, url, env))
    except (ServerError, FrontierError) as error:
        print(error, file=sys.stderr)
        return 1
    except RedisError as error:
        print(f"Redis at REDIS_URL does not answer as it should: {error}", file=sys.stderr)
        return 1
    except PyMongoError as error:
        print(f"MongoDB at MONGO_URI does not answer as it should: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
