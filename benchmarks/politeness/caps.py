"""CONCURRENT_REQUESTS_PER_DOMAIN: how many requests of a host are open at once, over all workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.politeness.fleet import Crawl, Fleet, Ground, fleet

HOSTS = 3
WORKERS = 3
LATENCY_MS = 50


@dataclass(frozen=True)
class Plan:
    """One case: the limit, and pages of a host."""

    limit: int
    pages: int


PLANS = [Plan(1, 150), Plan(2, 300), Plan(8, 600)]
QUICK_PLANS = [Plan(1, 60), Plan(8, 200)]


@dataclass(frozen=True)
class Caps:
    """The most requests that a host had open at once, of each host; pages a second of all."""

    contender: str
    limit: int
    most_open: list[int]
    requests_per_s: float
    missing: int


def measure(kind: type[Fleet], at: Ground, plan: Plan) -> Caps:
    """One crawl to its end."""
    settings = {"CONCURRENT_REQUESTS_PER_DOMAIN": plan.limit}
    with fleet(kind, at, Crawl(WORKERS, HOSTS, plan.pages, settings, LATENCY_MS)) as running:
        running.push()
        missing = running.wait_for_pages(running.hosts)
        visits = running.visits()
    every_ms = [visit.ms for of_host in visits.values() for visit in of_host]
    return Caps(
        contender=kind.contender.name,
        limit=plan.limit,
        most_open=[max(visit.open for visit in of_host) for of_host in visits.values()],
        requests_per_s=1000 * len(every_ms) / (max(every_ms) - min(every_ms)),
        missing=missing,
    )


def table(measured: Sequence[Caps]) -> Table:
    """A line for each crawl."""
    shown = Table(
        title=f"Requests of a host open at once, {HOSTS} hosts, {WORKERS} workers, latency {LATENCY_MS} ms"
    )
    shown.add_column("crawled by")
    for heading in ("limit", "most open", "requests/s", "missing"):
        shown.add_column(heading, justify="right")
    for one in measured:
        most_open = ", ".join(map(str, one.most_open))
        shown.add_row(one.contender, str(one.limit), most_open, f"{one.requests_per_s:.0f}", str(one.missing))
    return shown
