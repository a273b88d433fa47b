"""One worker crawls the practice site's graph: 4 KB pages of 20 links, 19 of them seen before."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
import redis

from benchmarks.contenders import AT_FULL_SPEED, PROJECT, Contender
from benchmarks.harness import BenchmarkError, Worker, cpu_s
from deploy.local.practice_site import PracticeSite, practice_site
from deploy.local.servers import MongoServer, RedisServer, mongo_server, redis_server

DATABASE = "graph_crawl"
Document = dict[str, Any]

_SECONDS_A_PAGE = 0.1
_START_S = 60


@dataclass(frozen=True)
class Crawl:
    """What one crawl of all the graph's pages took; `pages_per_s` is counted at the site."""

    cpu_s: float
    redis_cpu_s: float
    mongo_cpu_s: float
    pages_per_s: float


class Bench:
    """Redis and MongoDB for any number of crawls in turn, by workers that `hire` makes.

    `folder` is for their logs.
    """

    def __init__(
        self, folder: Path, redis_at: RedisServer, mongo_at: MongoServer, hire: Callable[..., Worker]
    ) -> None:
        self.redis_port = redis_at.port
        self._hire = hire
        self.folder = folder
        self._mongo_at = mongo_at
        self._redis = redis.Redis.from_url(redis_at.url)
        self._mongo: pymongo.MongoClient[Document] = pymongo.MongoClient(mongo_at.uri)

    def crawl(self, contender: Contender, site: PracticeSite, pages: int, redis_port: int = 0) -> Crawl:
        """One worker crawls the site's `pages` pages; `redis_port` 0 is straight to Redis."""
        with self.crawling(contender, site, pages, redis_port) as worker:
            return self.finish(worker, site, pages)

    def finish(self, worker: Worker, site: PracticeSite, pages: int) -> Crawl:
        """Wait for the end of a crawl of `pages` pages, and tell what it took."""
        ended = worker.finish(timeout_s=_START_S + pages * _SECONDS_A_PAGE)
        redis_cpu_s, mongo_cpu_s = self._servers_cpu_s()
        visits = site.visits()[-pages:]
        return Crawl(
            cpu_s=ended.cpu_s,
            redis_cpu_s=redis_cpu_s - self._before_s[0],
            mongo_cpu_s=mongo_cpu_s - self._before_s[1],
            pages_per_s=1000 * pages / (visits[-1].ms - visits[0].ms),
        )

    @contextmanager
    def crawling(
        self, contender: Contender, site: PracticeSite, pages: int, redis_port: int = 0
    ) -> Iterator[Worker]:
        """A worker that has just begun, on empty servers; `finish` it, it is killed at the end.

        A BenchmarkError if it fetched more or fewer than `pages` then, or if this project's pipelines did not
        store a document for each. `pages` 0: as many as may be.
        """
        self.clear()
        visited = len(site.visits())
        with self._hire(*self._job(contender, site, redis_port), self.folder / "worker.log") as worker:
            yield worker
        counts = {"fetched": len(site.visits()) - visited}
        if contender.base == PROJECT:
            counts["stored"] = self._mongo[DATABASE]["items"].count_documents({})
        for verb, count in counts.items():
            if pages and count != pages:
                complaint = f"{contender.name} {verb} {count} pages instead of {pages}."
                raise BenchmarkError(f"{complaint} {worker.complaint()}")

    def _job(
        self, contender: Contender, site: PracticeSite, redis_port: int
    ) -> tuple[list[str], Mapping[str, str]]:
        """The arguments and the environment of a worker."""
        settings = {
            **AT_FULL_SPEED,
            "REDIS_URL": f"redis://127.0.0.1:{redis_port or self.redis_port}/0",
            "MONGO_URI": self._mongo_at.uri,
            "MONGO_DATABASE": DATABASE,
        }
        spider = f"benchmarks/spiders/{contender.spider}.py"
        arguments = ["runspider", spider, "-a", f"url={site.url}graph/0", *contender.arguments(settings)]
        return arguments, contender.environ

    def clear(self) -> None:
        """Empty both servers; what they do from now on is the next crawl's."""
        self._redis.flushall()
        self._mongo.drop_database(DATABASE)
        self._before_s = self._servers_cpu_s()

    def _servers_cpu_s(self) -> tuple[float, float]:
        info = self._redis.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"]), cpu_s(self._mongo_at.pid)


@contextmanager
def bench(hire: Callable[..., Worker] = Worker) -> Iterator[Bench]:
    """A bench with its own servers, gone without a trace at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        redis_at = stack.enter_context(redis_server(folder / "redis"))
        mongo_at = stack.enter_context(mongo_server(folder / "mongo"))
        yield Bench(folder, redis_at, mongo_at, hire)


@contextmanager
def graph(pages: int) -> Iterator[PracticeSite]:
    """A practice site whose graph has so many pages."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        practice_site(Path(folder), quotes=1, pages=pages) as site,
    ):
        yield site
