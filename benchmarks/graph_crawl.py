"""One worker crawls the practice site's graph: 4 KB pages of 20 links, 19 of them seen before."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.contenders import AT_FULL_SPEED, Contender
from benchmarks.harness import BenchmarkError, Worker
from deploy.local.practice_site import PracticeSite, practice_site
from deploy.local.servers import MongoServer, RedisServer, mongo_server, redis_server

_SECONDS_A_PAGE = 0.1
_START_S = 60


@dataclass(frozen=True)
class Crawl:
    """What one crawl of all the graph's pages took; `pages_per_s` is counted at the site."""

    cpu_s: float
    redis_cpu_s: float
    pages_per_s: float


class Bench:
    """Redis and MongoDB for any number of crawls in turn, by workers that `hire` makes."""

    def __init__(
        self, folder: Path, redis_at: RedisServer, mongo_at: MongoServer, hire: Callable[..., Worker]
    ) -> None:
        self.redis_port = redis_at.port
        self._hire = hire
        self._folder = folder
        self._mongo_uri = mongo_at.uri
        self._redis = redis.Redis.from_url(redis_at.url)

    def crawl(self, contender: Contender, site: PracticeSite, pages: int, redis_port: int = 0) -> Crawl:
        """One worker crawls the site's `pages` pages; `redis_port` 0 is straight to Redis."""
        self._redis.flushall()
        visited, redis_before_s = len(site.visits()), self._redis_cpu_s()
        settings = {
            **AT_FULL_SPEED,
            "REDIS_URL": f"redis://127.0.0.1:{redis_port or self.redis_port}/0",
            "MONGO_URI": self._mongo_uri,
        }
        spider = f"benchmarks/spiders/{contender.spider}.py"
        arguments = ["runspider", spider, "-a", f"url={site.url}graph/0", *contender.arguments(settings)]
        with self._hire(arguments, contender.environ, self._folder / "worker.log") as worker:
            ended = worker.finish(timeout_s=_START_S + pages * _SECONDS_A_PAGE)
        visits = site.visits()[visited:]
        if len(visits) != pages:
            raise BenchmarkError(
                f"{contender.name} fetched {len(visits)} times instead of {pages}. " + worker.complaint()
            )
        return Crawl(
            cpu_s=ended.cpu_s,
            redis_cpu_s=self._redis_cpu_s() - redis_before_s,
            pages_per_s=1000 * pages / (visits[-1].ms - visits[0].ms),
        )

    def _redis_cpu_s(self) -> float:
        info = self._redis.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


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
