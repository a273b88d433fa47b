"""One host of many falls silent: what is left of the throughput of the others?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.politeness.fleet import Crawl, Fleet, Ground, fleet
from deploy.local.practice_site import NEVER, Behaviour

HOSTS = 20
WORKERS = 3
LATENCY_MS = 1000
"""So that the 32 slots of a worker are what the crawl waits for, not the machine's CPU."""
SETTINGS = {"DOWNLOAD_TIMEOUT": 180}
_FIRST_PAGES = 3
"""From these some forty links are known."""


@dataclass(frozen=True)
class Plan:
    """Pages of a host, and how often the crawl with a silent host is held against one without."""

    pages: int
    rounds: int


PLANS = [Plan(100, 2)]
QUICK_PLANS = [Plan(40, 1)]


@dataclass(frozen=True)
class Silence:
    """Requests a second of all hosts but the last, with and without it, a figure each round."""

    contender: str
    well_per_s: list[float]
    silent_per_s: list[float]
    open_at_silent: list[int]
    missing: list[int]

    @property
    def kept(self) -> float:
        """What is left when the last host is silent."""
        return sum(self.silent_per_s) / sum(self.well_per_s)


def measure(kind: type[Fleet], at: Ground, plan: Plan) -> Silence:
    """Crawls with and without a silent host in turn."""
    result = Silence(kind.contender.name, [], [], [], [])
    for _ in range(plan.rounds):
        _crawl(kind, at, plan, False, result)
        _crawl(kind, at, plan, True, result)
    return result


def _crawl(kind: type[Fleet], at: Ground, plan: Plan, silent: bool, result: Silence) -> None:
    """One crawl until all others have all pages; its figures go to `result`."""
    with fleet(kind, at, Crawl(WORKERS, HOSTS, plan.pages, SETTINGS, LATENCY_MS)) as running:
        *others, last = running.hosts
        running.push()
        running.wait_for_requests(_FIRST_PAGES, last)
        if silent:
            running.site.tell(last.partition(":")[0], Behaviour(status=NEVER))
        result.missing.append(running.wait_for_pages(others))
        visits = running.visits()
    every_ms = [visit.ms for host in others for visit in visits[host]]
    rate = 1000 * len(every_ms) / (max(every_ms) - min(every_ms))
    (result.silent_per_s if silent else result.well_per_s).append(rate)
    if silent:
        result.open_at_silent.append(max(visit.open for visit in visits[last]))


def table(measured: Sequence[Silence]) -> Table:
    """A line for each contender."""
    shown = Table(title=f"Requests a second of {HOSTS - 1} hosts, {WORKERS} workers, while another is silent")
    shown.add_column("crawled by")
    for heading in ("all well", "one silent", "kept", "open there", "missing"):
        shown.add_column(heading, justify="right")
    for one in measured:
        rates = (_listed(one.well_per_s), _listed(one.silent_per_s), f"{one.kept:.1%}")
        shown.add_row(one.contender, *rates, _listed(one.open_at_silent), _listed(one.missing))
    return shown


def _listed(figures: Sequence[float]) -> str:
    return ", ".join(f"{figure:.0f}" for figure in figures)
