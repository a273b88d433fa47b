"""Each `scrapy frontier` command on a million queued requests: how long does it hold Redis up?

    python -m benchmarks.operator_commands [--requests 1000000] [--hosts 1000]

The slowest Redis call is that of SLOWLOG while the command runs, scripts included. A crawl of one host that
has all requests in one queue is measured as well: the worst that a queue can be.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import redis
from rich.progress import track
from rich.table import Table
from scrapy import Request
from scrapy.utils.request import fingerprint

from benchmarks.harness import ROOT, BenchmarkError, report, run
from crawlers.frontier import Batch, Failed, Found, Frontier, Link, Member, Terms, connect, encode
from crawlers.scheduler.requests import fingerprint_of
from deploy.local.servers import redis_server

NAME = "operator_commands"
CRAWL, COPY = "big", "copy"
_BATCH = 1000
_SLOW_US = 1000
_HOUR_MS = 3_600_000
_DEAD = 10_000


@dataclass(frozen=True)
class Measured:
    """One command: its wall time, its slowest Redis call, and Redis' memory around it."""

    command: str
    wall_s: float
    slowest_ms: float
    slowest_call: str
    before_mb: float
    after_mb: float


def host_of(number: int, hosts: int) -> str:
    """The host of the request of that number."""
    return f"host{number % hosts}.example"


def url_of(number: int, hosts: int) -> str:
    """Its URL."""
    return f"http://{host_of(number, hosts)}/section/{number % 97}/page-{number}.html?id={number}"


def found(requests: int, hosts: int) -> Iterator[Found]:
    """Requests to many hosts in turn, as workers find them."""
    for number in range(requests):
        url = url_of(number, hosts)
        seen = fingerprint_of(fingerprint(Request(url)))
        yield Found(seen, host_of(number, hosts), 0, encode(Link(url, meta={"depth": 3}), 10_000))


async def fill(url: str, requests: int, hosts: int) -> None:
    """A crawl with so many requests, some of them leased, done and dead; its worker stays alive."""
    client = connect({"REDIS_URL": url})
    terms = Terms(ttl_ms=24 * _HOUR_MS, max_attempts=1, limit=8)
    member, _ = await Frontier(client, CRAWL).join("worker", terms)
    left = found(requests, hosts)
    for _ in track(range(0, requests, _BATCH), "Filling"):
        await member.exchange(Batch(found=list(islice(left, _BATCH))))
    await _bury(member, min(_DEAD, requests // 10))
    await member.exchange(Batch(want=64))
    await client.aclose()


async def _bury(member: Member, number: int) -> None:
    failed: list[Failed] = []
    buried = 0
    while buried < number:
        reply = await member.exchange(Batch(failed=failed, want=min(1000, number - buried)))
        failed = [Failed(lease.id, "download failed TimeoutError", final=True) for lease in reply.leases]
        buried += len(failed)
    await member.exchange(Batch(failed=failed))


def commands(requests: int, hosts: int, folder: Path) -> Iterator[tuple[str, ...]]:
    """All of them, in an order in which each finds something to do."""
    file = str(folder / "crawl.jsonl")
    yield from (("status",), ("hosts",), ("workers",), ("dead",), ("check",))
    yield ("where", url_of(requests - 1, hosts))
    yield ("where", f"http://{host_of(0, hosts)}/never")
    yield ("pause",)
    yield ("export", file)
    yield ("import", file)
    yield ("drop", "page-[0-9]*5[.]html", "--yes")
    yield ("retry-dead",)
    yield ("check", "--repair")
    yield from (("resume",), ("seal",), ("clear", "--yes"))


def measure(client: redis.Redis, url: str, words: Sequence[str], crawl: str) -> Measured:
    """Runs one command in a process of its own."""
    client.slowlog_reset()
    before_mb = memory_mb(client)
    command = [sys.executable, "-m", "scrapy", "frontier", *words, "--crawl", crawl]
    started_s = time.perf_counter()
    env = {**os.environ, "REDIS_URL": url}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    wall_s = time.perf_counter() - started_s
    if ended.returncode:
        raise BenchmarkError(
            f"{' '.join(words)} ended with {ended.returncode}: {ended.stderr or ended.stdout}"
        )
    slowest = max(client.slowlog_get(10_000), key=lambda entry: entry["duration"], default=None)
    return Measured(
        command=" ".join(words),
        wall_s=wall_s,
        slowest_ms=slowest["duration"] / 1000 if slowest else 0,
        slowest_call=slowest["command"].split()[0].decode() if slowest else "",
        before_mb=before_mb,
        after_mb=memory_mb(client),
    )


def memory_mb(client: redis.Redis) -> float:
    """What Redis' data take now, once it has freed what it frees in the background."""
    while client.info("memory")["lazyfree_pending_objects"]:
        time.sleep(0.05)
    return float(client.info("memory")["used_memory"]) / 1e6


def measure_all(requests: int, hosts: int) -> list[Measured]:
    """Fills a Redis of its own and runs every command on it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        server = stack.enter_context(redis_server(folder / "redis"))
        client = stack.enter_context(redis.Redis.from_url(server.url))
        asyncio.run(fill(server.url, requests, hosts))
        client.config_set("slowlog-log-slower-than", _SLOW_US)
        client.config_set("slowlog-max-len", 10_000)
        return [
            measure(client, server.url, words, COPY if words[0] == "import" else CRAWL)
            for words in track(list(commands(requests, hosts, folder)), "Commands")
        ]


def table(title: str, measured: Sequence[Measured]) -> Table:
    """One line a command."""
    shown = Table(title=title)
    shown.add_column("command", overflow="fold")
    for heading in ("wall s", "slowest Redis call ms", "which", "memory before MB", "after MB"):
        shown.add_column(heading, justify="right")
    for m in measured:
        slowest = f"{m.slowest_ms:.1f}" if m.slowest_ms else f"< {_SLOW_US / 1000:g}"
        memory = (f"{m.before_mb:,.0f}", f"{m.after_mb:,.0f}")
        shown.add_row(m.command, f"{m.wall_s:.1f}", slowest, m.slowest_call, *memory)
    return shown


def main() -> None:
    """Measure many hosts, then a single one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operator_commands", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="queued requests")
    parser.add_argument("--hosts", type=int, default=1000, help="hosts they go to")
    options = parser.parse_args()
    tables, figures = [], {}
    for hosts in (options.hosts, 1):
        measured = measure_all(options.requests, hosts)
        title = f"scrapy frontier on {options.requests:,} queued requests, hosts: {hosts:,}"
        tables.append(table(title, measured))
        figures[f"{hosts} hosts"] = [asdict(m) for m in measured]
    report(NAME, tables, figures)


if __name__ == "__main__":
    run(main)
