"""How many of the leases does each host get, and how long after it is due?"""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from rich.table import Table

from benchmarks.fairness.crowd import WANT, WORKERS, Crowd, crowd, fill, host_name, spread, work_together
from crawlers.frontier import Lease, Reply

GIANT = "giant.example"
LIMIT = 8


@dataclass(frozen=True)
class Plan:
    """`hosts` with `queued` requests each, beside a giant with `giant`; until there were so many `leases`."""

    hosts: int
    queued: int
    giant: int
    delay_ms: int
    leases: int


PLANS = [
    Plan(10_000, 20, 1_000_000, 0, 100_000),
    Plan(10_000, 20, 1_000_000, 5_000, 100_000),
    Plan(100, 20, 1_000, 1_000, 1_000),
    Plan(0, 0, 1_000, 100, 100),
]
QUICK_PLANS = [
    Plan(1_000, 20, 100_000, 0, 10_000),
    Plan(1_000, 20, 100_000, 1_000, 10_000),
    Plan(0, 0, 1_000, 100, 50),
]


@dataclass(frozen=True)
class Shares:
    """One crawl. `*_leases`: of the giant, and of a small host. `late_ms`: from due to leased, all hosts."""

    plan: Plan
    seconds: float
    giant_leases: int
    mean_leases: float
    least_leases: int
    most_leases: int
    late_median_ms: float | None
    late_p99_ms: float | None
    late_most_ms: float | None
    exchanges_per_lease: float
    redis_us_per_lease: float


@dataclass
class _Watch:
    """Counts leases; of hosts with a delay it notes when they were due, and when they were leased then."""

    crowd: Crowd
    plan: Plan
    exchanges: int = 0
    leases_of: Counter[str] = field(default_factory=Counter)
    due_us: dict[str, float] = field(default_factory=dict)
    late_ms: list[float] = field(default_factory=list)

    async def look(self, held: list[Lease], reply: Reply) -> bool:
        self.exchanges += 1
        self.leases_of.update(lease.host for lease in reply.leases)
        if self.plan.delay_ms and (held or reply.leases):
            await self._note(held, reply.leases)
        return self.leases_of.total() < self.plan.leases

    async def _note(self, held: list[Lease], leased: list[Lease]) -> None:
        """A host's score is its next moment: first its delay after it was leased, then after its visit."""
        visited, hosts = [lease.host for lease in held], [lease.host for lease in leased]
        client: Any = self.crowd.frontier.client
        scores = cast("list[float | None]", await client.zmscore(self.crowd.ready, [*visited, *hosts]))
        for host, next_us in zip(hosts, scores[len(visited) :], strict=True):
            due_us = self.due_us.pop(host, None)
            if due_us and next_us:  # None: nothing of it is queued any more
                self.late_ms.append((next_us - due_us) / 1000 - self.plan.delay_ms)
        for host, next_us in zip(visited, scores, strict=False):
            if next_us:
                self.due_us[host] = next_us


def measure(plan: Plan) -> Shares:
    """One crawl on a Redis of its own."""
    with crowd("shares") as at:
        return asyncio.run(_measure(at, plan))


async def _measure(at: Crowd, plan: Plan) -> Shares:
    watch = _Watch(at, plan)
    terms = {"limit": LIMIT, "delay_ms": plan.delay_ms}
    filler = await at.join("filler", **terms)
    await fill(filler, [(GIANT, plan.giant), *((host_name(n), plan.queued) for n in range(plan.hosts))])
    if plan.delay_ms:
        spread(at, plan.delay_ms)
    before_s = at.cpu_s()
    seconds = await work_together(at, watch.look, **terms)
    used_s = at.cpu_s() - before_s
    await at.frontier.client.aclose()
    small = [watch.leases_of[host_name(n)] for n in range(plan.hosts)] or [0]
    late_ms = sorted(watch.late_ms)
    return Shares(
        plan=plan,
        seconds=seconds,
        giant_leases=watch.leases_of[GIANT],
        mean_leases=statistics.mean(small),
        least_leases=min(small),
        most_leases=max(small),
        late_median_ms=statistics.median(late_ms) if late_ms else None,
        late_p99_ms=late_ms[len(late_ms) * 99 // 100] if late_ms else None,
        late_most_ms=late_ms[-1] if late_ms else None,
        exchanges_per_lease=watch.exchanges / watch.leases_of.total(),
        redis_us_per_lease=1e6 * used_s / watch.leases_of.total(),
    )


def tables(measured: Sequence[Shares]) -> list[Table]:
    """Shares and lateness, a line for each crawl."""
    return [_shares(measured), _lateness([one for one in measured if one.late_median_ms is not None])]


def _shares(measured: Sequence[Shares]) -> Table:
    shown = Table(
        title=f"Leases of each host; {WORKERS} workers that want {WANT[0]}-{WANT[1]} each, limit {LIMIT}",
        caption="Redis' CPU includes exchanges that got nothing",
    )
    for heading in ("hosts", "queued each", "and a giant with", "delay s", "leases in all"):
        shown.add_column(heading, justify="right")
    for heading in ("of the giant", "others: mean", "least", "most", "exchanges a lease", "Redis µs"):
        shown.add_column(heading, justify="right")
    for one in measured:
        plan = one.plan
        small = (f"{one.mean_leases:.2f}", str(one.least_leases), str(one.most_leases))
        shown.add_row(
            *(f"{number:,}" for number in (plan.hosts, plan.queued, plan.giant)),
            *(f"{plan.delay_ms / 1000:g}", f"{plan.leases:,}", str(one.giant_leases)),
            *(small if plan.hosts else ("-", "-", "-")),
            *(f"{one.exchanges_per_lease:.2f}", f"{one.redis_us_per_lease:.0f}"),
        )
    return shown


def _lateness(measured: Sequence[Shares]) -> Table:
    shown = Table(title="From a host's being due to its next lease, by Redis' clock, ms")
    for heading in ("hosts", "delay s", "due a second", "median", "99 %", "most"):
        shown.add_column(heading, justify="right")
    for one in measured:
        hosts, delay_s = one.plan.hosts + 1, one.plan.delay_ms / 1000
        late = (one.late_median_ms, one.late_p99_ms, one.late_most_ms)
        shown.add_row(
            *(f"{hosts:,}", f"{delay_s:g}", f"{hosts / delay_s:,.0f}"),
            *(f"{ms:.1f}" for ms in late if ms is not None),
        )
    return shown
