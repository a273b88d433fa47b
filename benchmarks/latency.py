"""Sites that take 250 ms to answer: how many of the requests that may be open are, and for what memory.

python -m benchmarks.latency [--slots 32 500] [--workers 1 2] [--seconds 20]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product

from rich.progress import track
from rich.table import Table

from benchmarks.harness import BenchmarkError, Worker, cpu_s, peak_mib, report, run
from benchmarks.politeness.fleet import Crawl, Ground, OurFleet, fleet, ground

NAME = "latency"
LATENCY_MS = 250
HOSTS = 200
PER_HOST = 8
MIDDLE = (0.25, 0.75)
"""Between these shares of all requests it is measured: the start finds few links, the end has few left."""
MOST_PAGES = 12_000
"""Of a crawl: with 500 slots it is CPU that limits, and more pages only take longer."""

_LOOK_EVERY_S = 0.25
_CRAWL_S = 600


@dataclass(frozen=True)
class Latency:
    """One crawl. `used`: share of the requests that `slots` allow in the middle of it; CPU is in shares of
    one core over the whole crawl, `site` and `servers` included, memory in MiB of each worker.
    """

    slots: int
    workers: int
    pages: int
    pages_per_s: float
    used: float
    cpu_workers: list[float]
    cpu_servers: float
    cpu_site: float
    memory_mib: list[float]


def measure(at: Ground, slots: int, workers: int, seconds: float) -> Latency:
    """One crawl that would take so many seconds if all slots were used."""
    ideal = slots * workers * 1000 / LATENCY_MS
    pages = max(2, round(min(seconds * ideal, MOST_PAGES) / HOSTS))
    settings = {
        "CONCURRENT_REQUESTS": slots,
        "CONCURRENT_REQUESTS_PER_DOMAIN": PER_HOST,
        "ROBOTSTXT_OBEY": False,
        "MAX_IDLE_TIME_BEFORE_CLOSE": 2,
    }
    with fleet(OurFleet, at, Crawl(workers, HOSTS, pages, settings, LATENCY_MS)) as running:
        running.push()
        others = [running.site.process.pid, at.redis.pid, at.mongo.pid]
        before = [cpu_s(pid) for pid in others]
        started_s = time.monotonic()
        memory = _until_all_end(running.workers)
        site, *servers = [cpu_s(pid) - was for pid, was in zip(others, before, strict=True)]
        took_s = time.monotonic() - started_s
        if missing := running.missing(running.hosts):
            raise BenchmarkError(f"{missing} pages of {pages * HOSTS} are missing.")
        at_ms = sorted(visit.ms for visit in running.site.visits())
        ended = [worker.finish(1) for worker in running.workers]
    first, last = (round(share * len(at_ms)) for share in MIDDLE)
    pages_per_s = 1000 * (last - first) / (at_ms[last] - at_ms[first])
    return Latency(
        slots=slots,
        workers=workers,
        pages=len(at_ms),
        pages_per_s=pages_per_s,
        used=pages_per_s / ideal,
        cpu_workers=[end.cpu_s / took_s for end in ended],
        cpu_servers=sum(servers) / took_s,
        cpu_site=site / took_s,
        memory_mib=memory,
    )


def _until_all_end(workers: Sequence[Worker]) -> list[float]:
    """Wait, and tell the peak of each one's memory."""
    peaks = [0.0] * len(workers)
    deadline_s = time.monotonic() + _CRAWL_S
    while running := [number for number, worker in enumerate(workers) if worker.poll() is None]:
        if time.monotonic() > deadline_s:
            raise BenchmarkError(f"Waited {_CRAWL_S} s in vain. {workers[running[0]].complaint()}")
        for number in running:
            peaks[number] = peak_mib(workers[number].pid) or peaks[number]
        time.sleep(_LOOK_EVERY_S)
    return peaks


def table(measured: Sequence[Latency]) -> Table:
    """A line for each crawl."""
    shown = Table(title=f"{HOSTS} hosts that answer after {LATENCY_MS} ms")
    shown.add_column("slots x workers")
    for heading in ("pages/s", "slots used", "CPU of workers", "servers", "site", "MiB a worker"):
        shown.add_column(heading, justify="right")
    for one in measured:
        shown.add_row(
            f"{one.slots} x {one.workers}",
            f"{one.pages_per_s:.0f}",
            f"{one.used:.1%}",
            ", ".join(f"{share:.0%}" for share in one.cpu_workers),
            f"{one.cpu_servers:.0%}",
            f"{one.cpu_site:.0%}",
            ", ".join(f"{mib:.0f}" for mib in one.memory_mib),
        )
    return shown


def main() -> None:
    """A crawl for each number of slots and of workers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--slots", type=int, nargs="+", default=[32, 500], help="CONCURRENT_REQUESTS")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="how many workers")
    parser.add_argument("--seconds", type=float, default=20, help="of a crawl, were all slots used")
    options = parser.parse_args()
    cases = list(product(options.slots, options.workers))
    with ground() as at:
        measured = [measure(at, slots, workers, options.seconds) for slots, workers in track(cases, "Crawls")]
    report(
        NAME,
        [table(measured)],
        {"hosts": HOSTS, "latency_ms": LATENCY_MS, "crawls": [asdict(one) for one in measured]},
    )


if __name__ == "__main__":
    run(main)
