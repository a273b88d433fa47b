"""How many pages a second go through one Redis core, and how long does a lease take then?"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.fairness.crowd import Crowd, crowd
from benchmarks.frontier.load import UNDER_WAY, Fleet, Hosts, Period
from benchmarks.harness import BenchmarkError
from crawlers.frontier import Client, Frontier, connect

LOADS = (0.5, 0.8)
"""Shares of full load at which latency is looked at, too."""

PATIENT = {"socket_timeout": 60}
"""Parameters of a connection on a machine that is busy with something else as well."""

_QUEUED = 8  # requests of each host; as many as it may have leased at once
_FILES = 200  # that a process has open besides its connections


@dataclass(frozen=True)
class Plan:
    """So many workers and hosts; `batches`: pages in an exchange. `seconds` of each measurement."""

    workers: int
    hosts: int
    batches: Sequence[int]
    seconds: float


PLAN = Plan(1_000, 20_000, (1, 4, 16, 32, 64), 10)
QUICK_PLAN = Plan(1_000, 20_000, (4, 32), 4)


@dataclass(frozen=True)
class Measured:
    """One load. `batch`: leases that were wanted. `of_core`, `client_of_core`: CPU that Redis and
    the workers' process used in a second.
    """

    batch: int
    load: float
    pages_an_exchange: float
    pages_per_s: float
    redis_us: float
    of_core: float
    client_of_core: float
    median_ms: float
    p99_ms: float

    @property
    def full_core_pages_per_s(self) -> float:
        """What a core that Redis has for itself would do."""
        return 1e6 / self.redis_us


def measure(plan: Plan) -> list[Measured]:
    """All batches, each at full load, and then at a share of it."""
    _open_files(plan.workers + _FILES)
    with crowd("fleet") as at:
        return asyncio.run(_measure_all(at, plan))


def _open_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        raise BenchmarkError(f"{number} files must be open at once and {hard} may be: raise `ulimit -n`.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))


async def _measure_all(at: Crowd, plan: Plan) -> list[Measured]:
    url = "redis://{host}:{port}/{db}".format(**at.redis.connection_pool.connection_kwargs)
    clients: list[Client] = []

    def frontiers() -> list[Frontier]:
        clients.append(connect({"REDIS_URL": url, "REDIS_PARAMS": PATIENT}))
        return [Frontier(clients[-1], at.frontier.crawl)]

    fleet = Fleet([at], Hosts(plan.hosts))
    await fleet.fill(_QUEUED)
    await fleet.hire(plan.workers, frontiers)
    measured = []
    for batch in plan.batches:
        await fleet.turn_over(batch)
        full = _measured(await fleet.work_flat_out(batch, plan.seconds), batch, 1)
        measured.append(full)
        for load in LOADS:
            period = await fleet.work_at(batch, load * full.pages_per_s, plan.seconds)
            measured.append(_measured(period, batch, load))
    for client in (*clients, at.frontier.client):
        await client.aclose()
    return measured


def _measured(period: Period, batch: int, load: float) -> Measured:
    return Measured(
        batch=batch,
        load=load,
        pages_an_exchange=period.pages / len(period.tally.latencies_s),
        pages_per_s=period.pages / period.wall_s,
        redis_us=period.redis_us,
        of_core=sum(period.redis_s) / period.wall_s,
        client_of_core=period.client_s / period.wall_s,
        median_ms=period.tally.percentile_ms(50),
        p99_ms=period.tally.percentile_ms(99),
    )


def table(measured: Sequence[Measured], plan: Plan) -> Table:
    """A line for each load."""
    shown = Table(
        title=f"{plan.workers:,} workers, {plan.hosts:,} hosts, one Redis",
        caption=f"full: {UNDER_WAY} exchanges wait at any moment; a core: if Redis has one for itself",
    )
    headings = (
        "pages an exchange",
        "load",
        "pages/s",
        "Redis µs a page",
        "Redis, of a core",
        "workers, of a core",
    )
    for heading in (*headings, "exchange ms: median", "99 %", "pages/s a core"):
        shown.add_column(heading, justify="right")
    for one in measured:
        shown.add_row(
            *(
                f"{one.pages_an_exchange:.1f}",
                "full" if one.load == 1 else f"{one.load:.0%}",
                f"{one.pages_per_s:,.0f}",
            ),
            *(f"{one.redis_us:.1f}", f"{one.of_core:.0%}", f"{one.client_of_core:.0%}"),
            *(f"{one.median_ms:.1f}", f"{one.p99_ms:.1f}", f"{one.full_core_pages_per_s:,.0f}"),
        )
    return shown
