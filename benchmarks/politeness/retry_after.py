"""A host answers 429 and `Retry-After: 3` amid the crawl of a fleet: is it left alone for 3 s?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.harness import BenchmarkError
from benchmarks.politeness.fleet import Crawl, Fleet, Ground, fleet
from deploy.local.practice_site import Behaviour, Visit

WAIT_S = 3
LATENCY_MS = 50
EARLY_MS = 100
"""Requests of the first so many milliseconds may have been on their way."""


@dataclass(frozen=True)
class Plan:
    """One case; the host refuses once a third of its pages were asked for."""

    workers: int
    pages: int


PLANS = [Plan(8, 900)]
QUICK_PLANS = [Plan(3, 300)]


@dataclass(frozen=True)
class Refusal:
    """What the host saw after it had sent its first 429.

    `early` came within EARLY_MS, `late` in the rest of WAIT_S; `back_s` is when it was next asked
    after WAIT_S. `refused` of its answers were 429, those to what was open at the first included.
    """

    contender: str
    workers: int
    early: int
    late: int
    back_s: float | None
    refused: int
    missing: int


def measure(kind: type[Fleet], at: Ground, plan: Plan) -> Refusal:
    """One crawl to its end."""
    with fleet(kind, at, Crawl(plan.workers, 1, plan.pages, {}, LATENCY_MS)) as running:
        running.push()
        running.wait_for_requests(plan.pages // 3)
        host, _, _ = running.hosts[0].partition(":")
        running.site.tell(host, Behaviour(status=429, retry_after=str(WAIT_S), for_s=WAIT_S))
        missing = running.wait_for_pages(running.hosts)
        visits = running.visits()[running.hosts[0]]
    return evaluate(kind.contender.name, plan, visits, missing)


def evaluate(contender: str, plan: Plan, visits: Sequence[Visit], missing: int) -> Refusal:
    """Figures of the visits to the host; moments are those since its first 429 was sent."""
    first = next((visit for visit in visits if visit.status == 429), None)
    if first is None:
        raise BenchmarkError(f"{contender} was through before the host could refuse it: take more pages.")
    sent_ms = first.ms + LATENCY_MS
    later_ms = [visit.ms - sent_ms for visit in visits if visit.ms > sent_ms]
    return Refusal(
        contender=contender,
        workers=plan.workers,
        early=sum(ms <= EARLY_MS for ms in later_ms),
        late=sum(EARLY_MS < ms <= WAIT_S * 1000 for ms in later_ms),
        back_s=min((ms / 1000 for ms in later_ms if ms > WAIT_S * 1000), default=None),
        refused=sum(visit.status == 429 for visit in visits),
        missing=missing,
    )


def table(measured: Sequence[Refusal]) -> Table:
    """A line for each crawl."""
    shown = Table(title=f"Requests of a host after its first 429 with Retry-After: {WAIT_S}")
    shown.add_column("crawled by")
    windows = (f"first {EARLY_MS / 1000:g} s", f"to {WAIT_S} s")
    for heading in ("workers", *windows, "then after s", "429s", "missing"):
        shown.add_column(heading, justify="right")
    for one in measured:
        counts = map(str, (one.workers, one.early, one.late))
        back = "never" if one.back_s is None else f"{one.back_s:.2f}"
        shown.add_row(one.contender, *counts, back, str(one.refused), str(one.missing))
    return shown
