"""The delay of a host, from the start of a request to the start of the next, over all workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.table import Table

from benchmarks.politeness.fleet import Crawl, Fleet, Ground, fleet, is_page
from deploy.local.practice_site import Visit

HOSTS = 5
LATENCY_MS = 100
"""So that the worker that is killed has a page under way."""
TOLERANCE_MS = 5
"""A gap that is shorter than the delay by more than this is counted."""
AFTER_KILL_S = 5
"""For how long after a kill the throughput is told by itself."""
PAUSE_S = 4
"""A gap that is longer than the delay by more than this is a pause: nothing was left to ask for
until the killed worker's pages went to others."""


@dataclass(frozen=True)
class Plan:
    """One case; with more than one worker, one of them is killed half-way."""

    workers: int
    delay_s: float
    pages: int


PLANS = [Plan(workers, delay_s, pages) for delay_s, pages in ((0.2, 120), (1, 25)) for workers in (1, 3, 8)]
QUICK_PLANS = [Plan(1, 0.2, 40), Plan(3, 0.2, 40)]


@dataclass(frozen=True)
class Gaps:
    """What the site saw of one crawl.

    `too_short` of `gaps` were shorter than the delay. `kept` is the share of the requests that the
    delay allows from the first request of a host to its last, pauses aside, and `kept_in_all` the
    same with them, `kept_after_kill` that of AFTER_KILL_S; all over all hosts. `robots` is how often
    a robots.txt was asked for, `refetched` how many requests asked for a page once more.
    """

    contender: str
    workers: int
    delay_s: float
    smallest_ms: float
    gaps: int
    too_short: int
    kept: float
    kept_in_all: float
    kept_after_kill: float | None
    longest_s: float
    missing: int
    robots: int
    refetched: int


def measure(kind: type[Fleet], at: Ground, plan: Plan) -> Gaps:
    """One crawl to its end."""
    crawl = Crawl(plan.workers, HOSTS, plan.pages, {"DOWNLOAD_DELAY": plan.delay_s}, LATENCY_MS)
    with fleet(kind, at, crawl) as running:
        running.push()
        killed_ms = None
        if plan.workers > 1:
            running.wait_for_requests(HOSTS * plan.pages // 2)
            killed_ms = running.kill_one()
        missing = running.wait_for_pages(running.hosts)
        visits = running.visits()
    return evaluate(kind.contender.name, plan, visits, killed_ms, missing)


def evaluate(
    contender: str, plan: Plan, visits: Mapping[str, Sequence[Visit]], killed_ms: float | None, missing: int
) -> Gaps:
    """Figures of the visits to each host."""
    delay_ms = plan.delay_s * 1000
    starts = [[visit.ms for visit in of_host] for of_host in visits.values()]
    gaps_ms = [after - before for of_host in starts for before, after in pairwise(of_host)]
    all_ms = sum(gaps_ms)
    pauses_ms = sum(gap for gap in gaps_ms if gap > delay_ms + PAUSE_S * 1000)
    pages = [(v.host, v.path) for of_host in visits.values() for v in of_host if is_page(v)]
    return Gaps(
        contender=contender,
        workers=plan.workers,
        delay_s=plan.delay_s,
        smallest_ms=min(gaps_ms),
        gaps=len(gaps_ms),
        too_short=sum(gap < delay_ms - TOLERANCE_MS for gap in gaps_ms),
        kept=sum(gap <= delay_ms + PAUSE_S * 1000 for gap in gaps_ms) * delay_ms / (all_ms - pauses_ms),
        kept_in_all=len(gaps_ms) * delay_ms / all_ms,
        kept_after_kill=killed_ms and _kept_from(killed_ms, delay_ms, starts),
        longest_s=max(gaps_ms) / 1000,
        missing=missing,
        robots=sum(map(len, visits.values())) - len(pages),
        refetched=len(pages) - len(set(pages)),
    )


def _kept_from(killed_ms: float, delay_ms: float, starts: Sequence[Sequence[float]]) -> float | None:
    """Share of the requests that the delay allows in AFTER_KILL_S, or to the last one; None: it was last."""
    seen, allowed = 0, 0.0
    for of_host in starts:
        end_ms = min(killed_ms + AFTER_KILL_S * 1000, of_host[-1])
        seen += sum(killed_ms < ms <= end_ms for ms in of_host)
        allowed += max(0, end_ms - killed_ms) / delay_ms
    return seen / allowed if allowed else None


def table(measured: Sequence[Gaps]) -> Table:
    """A line for each crawl."""
    shown = Table(title=f"The delay of a host, {HOSTS} hosts; of several workers one is killed half-way")
    shown.add_column("crawled by", no_wrap=True)
    kept = ("kept", "with pauses", f"{AFTER_KILL_S} s from kill")
    for heading in ("workers", "delay", "least ms", "too short", *kept, "missing", "robots", "again"):
        shown.add_column(heading, justify="right")
    for one in measured:
        after_kill = "" if one.kept_after_kill is None else f"{one.kept_after_kill:.0%}"
        shown.add_row(
            one.contender,
            str(one.workers),
            f"{one.delay_s:g} s",
            f"{one.smallest_ms:.1f}",
            f"{one.too_short} of {one.gaps}",
            f"{one.kept:.1%}",
            f"{one.kept_in_all:.1%}",
            after_kill,
            *map(str, (one.missing, one.robots, one.refetched)),
        )
    return shown
