"""A million distinct URLs over 10,000 hosts, from a list of start URLs in Redis to documents in MongoDB.

python -m benchmarks.million [--urls 1000000] [--hosts 10000] [--workers 2]

Everything is as the project ships, robots.txt of each host included, but for delays: there are none.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pymongo
import redis
from rich.table import Table

from benchmarks.contenders import OURS
from benchmarks.harness import ROOT, BenchmarkError, Worker, cpu_s, peak_mib, report, run, wait_until
from deploy.local.processes import Process, free_port
from deploy.local.servers import MongoServer, RedisServer, mongo_server, redis_server

NAME = "million"
DATABASE = "million"
START_URLS = "pages:start_urls"
DEAD = "{pages}:dead"
SETTINGS: Mapping[str, object] = {"MONGO_DATABASE": DATABASE, "USER_AGENT": "benchmark (loopback)"}

_PUSHED_AT_ONCE = 10_000
_LOOK_EVERY_S = 1.0
_TOLD_EVERY_S = 30.0
_START_S = 60
_SECONDS_A_URL = 0.05


@dataclass
class Ground:
    """The servers, the site, and what was seen of each process: CPU in s, memory in MiB, by name."""

    redis: RedisServer
    mongo: MongoServer
    site: Process
    site_port: int
    folder: Path
    cpu_s: dict[str, float] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)

    def look(self, workers: Mapping[str, Worker]) -> bool:
        """Note what each process has used; whether a worker still runs."""
        pids = {"Redis": self.redis.pid, "MongoDB": self.mongo.pid, "site": self.site.pid}
        pids |= {name: worker.pid for name, worker in workers.items() if worker.poll() is None}
        for name, pid in pids.items():
            self.cpu_s[name], self.peak_mib[name] = cpu_s(pid), peak_mib(pid) or self.peak_mib.get(name, 0)
        return len(pids) > 3


@dataclass(frozen=True)
class Outcome:
    """How it ended: minutes from the first `lpush` to the end of the last worker."""

    minutes: float
    pages_per_s: float
    documents: int
    dead: int
    redis_used_mib: float


@contextmanager
def ground() -> Iterator[Ground]:
    """All but the workers, gone without a trace at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="benchmark-")))
        port = free_port()
        site = Process(
            [sys.executable, "-m", "benchmarks.lean_site", str(port)], folder / "site.log", cwd=ROOT
        )
        stack.callback(site.kill)
        site.start()
        wait_until(lambda: _listens(port), _START_S, site.output)
        redis_at = stack.enter_context(redis_server(folder / "redis"))
        mongo_at = stack.enter_context(mongo_server(folder / "mongo"))
        yield Ground(redis_at, mongo_at, site, port, folder)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.1.0.0", port)) == 0


def urls(count: int, hosts: int, port: int) -> Iterator[str]:
    """So many URLs, all hosts in turn: 127.1.0.0, 127.1.0.1, …"""
    for number in range(count):
        host = number % hosts
        yield f"http://127.{1 + (host >> 16)}.{host >> 8 & 255}.{host & 255}:{port}/{number // hosts}"


def push(at: Ground, count: int, hosts: int) -> None:
    """All of them, into the list of start URLs."""
    each = urls(count, hosts, at.site_port)
    with redis.Redis.from_url(at.redis.url) as client:
        while batch := [url for _, url in zip(range(_PUSHED_AT_ONCE), each)]:  # noqa: B905
            client.lpush(START_URLS, *batch)


def crawl(at: Ground, count: int, hosts: int, workers: int) -> Outcome:
    """Push all, let the workers crawl until they end by themselves, and count what is there then."""
    started_s = time.monotonic()
    push(at, count, hosts)
    settings = {**SETTINGS, "REDIS_URL": at.redis.url, "MONGO_URI": at.mongo.uri}
    command = ["crawl", "pages", "-a", "follow=none", *OURS.arguments(settings)]
    with ExitStack() as stack:
        names = [f"worker {number}" for number in range(1, workers + 1)]
        crew = {name: Worker(command, OURS.environ, at.folder / f"{name}.log") for name in names}
        for worker in crew.values():
            stack.enter_context(worker)
        _watch(at, crew, started_s, _START_S + count * _SECONDS_A_URL)
        for name, worker in crew.items():
            at.cpu_s[name] = worker.finish(_START_S).cpu_s
    return _outcome(at, count, time.monotonic() - started_s)


def _watch(at: Ground, crew: Mapping[str, Worker], started_s: float, most_s: float) -> None:
    """Until all workers have ended; says now and then how far they are."""
    told_s = time.monotonic()
    with pymongo.MongoClient[dict[str, str]](at.mongo.uri) as mongo:
        while at.look(crew):
            now_s = time.monotonic()
            if now_s - started_s > most_s:
                raise BenchmarkError(f"Not through after {most_s:.0f} s. {crew['worker 1'].complaint()}")
            if now_s - told_s > _TOLD_EVERY_S:
                told_s = now_s
                stored = mongo[DATABASE]["pages"].estimated_document_count()
                print(f"{now_s - started_s:.0f} s: {stored:,} documents", file=sys.stderr)
            time.sleep(_LOOK_EVERY_S)


def _outcome(at: Ground, count: int, took_s: float) -> Outcome:
    with (
        redis.Redis.from_url(at.redis.url) as client,
        pymongo.MongoClient[dict[str, str]](at.mongo.uri) as mongo,
    ):
        found = Outcome(
            minutes=took_s / 60,
            pages_per_s=count / took_s,
            documents=mongo[DATABASE]["pages"].count_documents({"status": 200}),
            dead=client.xlen(DEAD),
            redis_used_mib=client.info("memory")["used_memory_peak"] / 2**20,
        )
    if (found.documents, found.dead) != (count, 0):
        raise BenchmarkError(f"{count:,} documents and no dead letter should be there, but: {found}")
    return found


def tables(at: Ground, outcome: Outcome, count: int, hosts: int) -> list[Table]:
    """How it ended, and what each process took."""
    ended = Table(title=f"{count:,} URLs over {hosts:,} hosts, from lpush to MongoDB")
    for heading in ("minutes", "pages/s", "documents", "dead", "used_memory of Redis, peak MiB"):
        ended.add_column(heading, justify="right")
    ended.add_row(
        f"{outcome.minutes:.1f}",
        f"{outcome.pages_per_s:.0f}",
        f"{outcome.documents:,}",
        str(outcome.dead),
        f"{outcome.redis_used_mib:.0f}",
    )
    took = Table(title="By process")
    for heading in ("process", "CPU ms / page", "share of a core", "peak MiB"):
        took.add_column(heading, justify="left" if heading == "process" else "right")
    for name, used_s in sorted(at.cpu_s.items()):
        busy = used_s / (60 * outcome.minutes)
        took.add_row(name, f"{1000 * used_s / count:.3f}", f"{busy:.0%}", f"{at.peak_mib[name]:.0f}")
    return [ended, took]


def main() -> None:
    """One crawl."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--urls", type=int, default=1_000_000, help="how many distinct URLs")
    parser.add_argument("--hosts", type=int, default=10_000, help="over how many hosts")
    parser.add_argument("--workers", type=int, default=2, help="how many workers")
    options = parser.parse_args()
    if not 0 < options.hosts <= options.urls:
        raise BenchmarkError("--hosts must be at least 1, and --urls no fewer.")
    with ground() as at:
        outcome = crawl(at, options.urls, options.hosts, options.workers)
    report(
        NAME,
        tables(at, outcome, options.urls, options.hosts),
        {
            "urls": options.urls,
            "hosts": options.hosts,
            **vars(outcome),
            "cpu_s": at.cpu_s,
            "peak_mib": at.peak_mib,
        },
    )


if __name__ == "__main__":
    run(main)
