"""A crawl split by host over the nodes of a Redis Cluster: does what they can do add up?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.frontier.cluster import sharded_crawl
from benchmarks.frontier.fleet import PATIENT
from benchmarks.frontier.load import Fleet, Hosts
from crawlers.frontier import Client, Frontier, connect

_QUEUED = 8  # requests of each host; as many as it may have leased at once
_URL = "redis+cluster://{host}:{port}"


@dataclass(frozen=True)
class Plan:
    """Numbers of shards; `workers` that are members of all of them, `hosts` in all, pages in an exchange."""

    shards: Sequence[int]
    workers: int
    hosts: int
    batch: int
    seconds: float


PLAN = Plan((1, 3), 100, 20_000, 32, 15)
QUICK_PLAN = Plan((1, 3), 100, 5_000, 32, 4)


@dataclass(frozen=True)
class Measured:
    """One crawl at full load: pages and CPU seconds of each node, by the order of the shards."""

    pages: list[int]
    redis_s: list[float]
    wall_s: float
    client_of_core: float

    @property
    def per_cpu_s(self) -> list[float]:
        """Pages of each node in a second of its CPU."""
        return [pages / cpu_s for pages, cpu_s in zip(self.pages, self.redis_s, strict=True)]

    @property
    def together(self) -> float:
        """Pages a second once the node with most to do has a core full of it, each having one of its own."""
        return sum(self.pages) / max(self.redis_s)


def measure(plan: Plan) -> list[Measured]:
    """One crawl for each number of shards."""
    return [asyncio.run(_measure(plan, shards)) for shards in plan.shards]


async def _measure(plan: Plan, shards: int) -> Measured:
    clients: list[Client] = []
    with sharded_crawl("shards", shards) as nodes:
        url = _URL.format(**nodes[0].redis.connection_pool.connection_kwargs)

        def frontiers() -> list[Frontier]:
            clients.append(connect({"REDIS_URL": url, "REDIS_PARAMS": PATIENT}))
            return [Frontier(clients[-1], node.frontier.crawl) for node in nodes]

        fleet = Fleet(nodes, Hosts(plan.hosts, shards))
        await fleet.fill(_QUEUED)
        await fleet.hire(plan.workers, frontiers)
        await fleet.turn_over(plan.batch)
        period = await fleet.work_flat_out(plan.batch, plan.seconds)
        for client in (*clients, *(node.frontier.client for node in nodes)):
            await client.aclose()
    return Measured(period.tally.pages, period.redis_s, period.wall_s, period.client_s / period.wall_s)


def table(measured: Sequence[Measured], plan: Plan) -> Table:
    """A line for each node, and one for all of a crawl together."""
    shown = Table(
        title=f"A Redis Cluster, {plan.hosts:,} hosts dealt out to its nodes, {plan.batch} pages an exchange",
        caption="pages/CPU s of all: when the busiest node has a core full; x: of one node's",
    )
    for heading in ("nodes", "node", "pages", "of all", "Redis CPU s", "of all", "pages/CPU s", "x"):
        shown.add_column(heading, justify="right")
    for one in measured:
        pages, cpu_s = sum(one.pages), sum(one.redis_s)
        for node, per_cpu_s in enumerate(one.per_cpu_s):
            shares = (
                f"{one.pages[node] / pages:.1%}",
                f"{one.redis_s[node]:.2f}",
                f"{one.redis_s[node] / cpu_s:.1%}",
            )
            shown.add_row("", str(node + 1), f"{one.pages[node]:,}", *shares, f"{per_cpu_s:,.0f}", "")
        gain = one.together / measured[0].together
        whole = (f"{pages:,}", "", f"{cpu_s:.2f}", "", f"{one.together:,.0f}", f"{gain:.2f}")
        shown.add_row(str(len(one.pages)), "all", *whole, end_section=True)
    return shown


def figures(measured: Sequence[Measured]) -> list[dict[str, object]]:
    """The same as plain data."""
    return [
        {
            "nodes": len(one.pages),
            "pages": one.pages,
            "redis_s": one.redis_s,
            "wall_s": one.wall_s,
            "client_of_core": one.client_of_core,
            "per_cpu_s": one.per_cpu_s,
            "together": one.together,
        }
        for one in measured
    ]
