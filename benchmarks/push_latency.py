"""Milliseconds from `LPUSH` on a waiting worker to its request at the site.

python -m benchmarks.push_latency [--pushes 20]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import redis
from rich.progress import track
from rich.table import Table

from benchmarks.contenders import AT_FULL_SPEED, OURS, STOCK, Contender
from benchmarks.folder_site import FolderSite, folder_site, page_of
from benchmarks.harness import Worker, report, run, wait_until
from deploy.local.servers import mongo_server, redis_server

NAME = "push_latency"
KEY = "start_urls"
WORKERS = {OURS: ["crawl", "quotes"], STOCK: ["runspider", "benchmarks/spiders/pushed.py"]}
"""What each contender runs; both read start URLs from KEY and wait for ever."""

_START_S = 60
# An idle engine of Scrapy's wakes every 5 s: the pauses before the pushes are spread over more.
_LEAST_PAUSE_S, _MOST_PAUSE_S = 1, 7


def push(client: redis.Redis, site: FolderSite, number: int, worker: Worker) -> float:
    """Push one URL and wait for its request; the milliseconds between."""
    url = f"{site.url}?push={number}"
    pushed_s = time.perf_counter()
    client.lpush(KEY, url)
    wait_until(lambda: page_of(url) in site.fetched(), _START_S, worker.complaint)
    return 1000 * (next(v.at_s for v in site.log if v.page == page_of(url)) - pushed_s)


def latencies_ms(worker: Worker, client: redis.Redis, site: FolderSite, pushes: int) -> list[float]:
    """One latency for each push, each after a pause in which the worker has become idle."""
    push(client, site, 0, worker)
    pauses = random.Random(NAME)
    measured = []
    for number in track(range(1, pushes + 1), "Pushes"):
        time.sleep(pauses.uniform(_LEAST_PAUSE_S, _MOST_PAUSE_S))
        measured.append(push(client, site, number, worker))
    return measured


def measure(contender: Contender, pushes: int) -> list[float]:
    """The latencies of one worker with servers and a site of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        pages = folder / "site"
        pages.mkdir()
        (pages / "index.html").write_text("<title>Pushed</title>")
        site = stack.enter_context(folder_site(pages))
        redis_at = stack.enter_context(redis_server(folder / "redis"))
        settings = {
            **AT_FULL_SPEED,
            "MAX_IDLE_TIME_BEFORE_CLOSE": 0,
            "REDIS_URL": redis_at.url,
            "MONGO_URI": stack.enter_context(mongo_server(folder / "mongo")).uri,
        }
        command = [*WORKERS[contender], *contender.arguments(settings)]
        worker = stack.enter_context(Worker(command, contender.environ, folder / "worker.log"))
        client = stack.enter_context(redis.Redis.from_url(redis_at.url))
        return latencies_ms(worker, client, site, pushes)


def table(latencies: Mapping[Contender, Sequence[float]]) -> Table:
    """Median, least and most."""
    shown = Table(title="Milliseconds from LPUSH to the request at the site")
    shown.add_column("scheduler")
    for heading in ("median", "least", "most", "pushes"):
        shown.add_column(heading, justify="right")
    for contender, ms in latencies.items():
        figures = (statistics.median(ms), min(ms), max(ms))
        shown.add_row(contender.name, *(f"{figure:,.1f}" for figure in figures), str(len(ms)))
    return shown


def main() -> None:
    """Measure ours, then stock scrapy-redis."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push_latency", description=__doc__)
    parser.add_argument("--pushes", type=int, default=20, help="how often a URL is pushed")
    options = parser.parse_args()
    latencies = {contender: measure(contender, options.pushes) for contender in WORKERS}
    figures = {
        contender.name: {"median_ms": statistics.median(ms), "ms": ms} for contender, ms in latencies.items()
    }
    report(NAME, [table(latencies)], figures)


if __name__ == "__main__":
    run(main)
