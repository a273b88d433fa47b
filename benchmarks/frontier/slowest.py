"""Which call holds Redis up for longest, whatever the shape of the crawl, at up to a million hosts?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track
from rich.table import Table

from benchmarks.fairness.crowd import Crowd, crowd
from benchmarks.frontier.ground import host_name
from benchmarks.frontier.shapes import SHAPES, Ground, Shape
from benchmarks.harness import BenchmarkError
from crawlers.frontier import Batch, Found

MOST_MS = 20.0
"""What one call may take of Redis."""

_LOGGED_US, _LOGGED = 500, 100_000
_PAYLOAD = b"x" * 80


@dataclass(frozen=True)
class Plan:
    """The hosts of the crawl, and how much there is of what else there may be much of."""

    hosts: int
    size: int
    rounds: int


PLAN = Plan(hosts=1_000_000, size=100_000, rounds=2)
QUICK_PLAN = Plan(hosts=20_000, size=5_000, rounds=1)


@dataclass(frozen=True)
class Slowest:
    """The longest call of a shape, by SLOWLOG, and the most CPU of Redis' main thread around one; of the best
    of some rounds, for what else the machine does makes both longer.
    """

    shape: str
    what: str
    calls: int
    wall_ms: float
    cpu_ms: float
    call: str

    @property
    def ms(self) -> float:
        """What the longest took at most: SLOWLOG's time goes on while another process has the core."""
        return min(self.wall_ms, self.cpu_ms)


class Meter:
    """The CPU that Redis' main thread uses for each command of `client`."""

    def __init__(self, client: Any, pid: int) -> None:
        self._execute = client.execute_command
        self._path = Path(f"/proc/{pid}/task/{pid}/schedstat")
        self.most_ms = 0.0
        client.execute_command = self._measured

    def _cpu_ms(self) -> float:
        return int(self._path.read_text().split()[0]) / 1e6

    async def _measured(self, *args: Any, **options: Any) -> Any:
        before_ms = self._cpu_ms()
        reply = await self._execute(*args, **options)
        self.most_ms = max(self.most_ms, self._cpu_ms() - before_ms)
        return reply


def measure(plan: Plan) -> list[Slowest]:
    """Each shape on one crawl, that was filled before."""
    with crowd("slowest") as at, asyncio.Runner() as runner:
        ground = Ground(at, plan.hosts, plan.size)
        runner.run(_fill(ground))
        meter = Meter(at.frontier.client, at.redis.info("server")["process_id"])
        at.redis.config_set("slowlog-log-slower-than", _LOGGED_US)
        at.redis.config_set("slowlog-max-len", _LOGGED)
        found = [
            _best(
                [
                    runner.run(_slowest(ground, shape, meter))
                    for _ in range(plan.rounds if shape is not SHAPES[-1] else 1)
                ]
            )
            for shape in track(SHAPES, "Shapes")
        ]
        runner.run(at.frontier.client.aclose())
    return found


def _best(rounds: Sequence[Slowest]) -> Slowest:
    return min(rounds, key=lambda one: one.ms)


async def _fill(ground: Ground) -> None:
    member = await ground.join("filler", robots=False)
    for first in track(range(0, ground.hosts, 1000), "Filling"):
        numbers = range(first, min(first + 1000, ground.hosts))
        await member.exchange(Batch(found=[Found(None, host_name(n), 0, _PAYLOAD) for n in numbers]))
    await member.leave()


async def _slowest(ground: Ground, shape: Shape, meter: Meter) -> Slowest:
    logged: list[dict[str, Any]] = []
    cpu_ms = 0.0

    @asynccontextmanager
    async def measured() -> AsyncIterator[None]:
        nonlocal cpu_ms
        ground.at.redis.slowlog_reset()
        meter.most_ms = 0.0
        yield
        cpu_ms = max(cpu_ms, meter.most_ms)
        logged.extend(ground.at.redis.slowlog_get(_LOGGED))

    await shape(ground, measured)
    _check(ground.at)
    slowest = max(logged, key=lambda entry: entry["duration"], default={"duration": 0, "command": b"-"})
    name = slowest["command"].split(b" ")[0].decode()
    doc = (shape.__doc__ or "").strip()
    return Slowest(shape.__name__, doc, len(logged), slowest["duration"] / 1000, cpu_ms, name)


def _check(at: Crowd) -> None:
    """A crawl that lost count would make figures worthless."""
    meta = {
        k.decode(): int(v)
        for k, v in at.redis.hgetall(f"{{{at.frontier.crawl}}}:meta").items()
        if v.isdigit()
    }
    parts = sum(meta.get(name, 0) for name in ("done", "queued", "leased", "dead"))
    if meta.get("enqueued", 0) != parts:
        raise BenchmarkError(f"{meta.get('enqueued', 0)} were enqueued, and {parts} are there.")


def table(measured: Sequence[Slowest], plan: Plan) -> Table:
    """One line a shape."""
    shown = Table(
        title=f"The longest call to Redis of each shape, of a crawl with {plan.hosts:,} hosts; {MOST_MS:g} ms"
    )
    shown.add_column("shape", overflow="fold")
    for heading in ("longest ms", "CPU ms", "which", f"calls over {_LOGGED_US / 1000:g} ms"):
        shown.add_column(heading, justify="right")
    for one in measured:
        shown.add_row(one.what, f"{one.wall_ms:.1f}", f"{one.cpu_ms:.1f}", one.call, f"{one.calls:,}")
    return shown


def too_slow(measured: Sequence[Slowest]) -> list[str]:
    """The shapes with a call that took more than it may."""
    return [f"{one.shape}: {one.ms:.1f} ms" for one in measured if one.ms > MOST_MS]
