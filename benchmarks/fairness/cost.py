"""What a lease and its completion cost Redis, with few hosts and with many; and what memory a host takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.fairness.crowd import Crowd, crowd, fill, host_name
from crawlers.frontier import Batch, Lease

HOSTS = [100, 10_000, 1_000_000]
QUICK_HOSTS = [100, 10_000]
BATCHES = [32, 64]
DELAYS_MS = [0, 1]
_LEASES = 10_000  # of each case


@dataclass(frozen=True)
class Cost:
    """One case. `bytes_per_host`: with one request of 80 bytes queued. `delay_ms` 0: none."""

    hosts: int
    batch: int
    delay_ms: int
    redis_us_per_lease: float
    exchange_ms: float
    bytes_per_host: float


def measure(hosts: int) -> list[Cost]:
    """All cases with so many hosts, on one Redis."""
    with crowd("cost") as at:
        return asyncio.run(_measure_all(at, hosts))


async def _measure_all(at: Crowd, hosts: int) -> list[Cost]:
    filler = await at.join("filler")
    await filler.exchange(Batch())  # Redis keeps the script
    empty_bytes = at.memory_bytes()
    await fill(filler, ((host_name(n), 1) for n in range(hosts)))
    host_bytes = (at.memory_bytes() - empty_bytes) / hosts
    # Who was found first is leased first. None is to run dry meanwhile, for that costs something else.
    needed = len(BATCHES) * len(DELAYS_MS) * (_LEASES + 2 * max(BATCHES))
    await fill(filler, ((host_name(n), -(-needed // hosts)) for n in range(min(hosts, needed))))
    measured = []
    for delay_ms in DELAYS_MS:
        for batch in BATCHES:
            used_us, exchange_ms = await _measure(at, batch, delay_ms)
            measured.append(Cost(hosts, batch, delay_ms, used_us, exchange_ms, host_bytes))
    await at.frontier.client.aclose()
    return measured


async def _measure(at: Crowd, batch: int, delay_ms: int) -> tuple[float, float]:
    """Microseconds of Redis' CPU for a lease; and how many ms it takes until an exchange is answered."""
    member = await at.join(delay_ms=delay_ms)
    held = (await member.exchange(Batch(want=batch))).leases
    ended = exchanges = 0
    before_s, started_s = at.cpu_s(), time.perf_counter()
    while ended < _LEASES:
        ended, exchanges = ended + len(held), exchanges + 1
        held = (await member.exchange(_handed_in(held, batch))).leases
    used_us = 1e6 * (at.cpu_s() - before_s) / ended
    exchange_ms = 1e3 * (time.perf_counter() - started_s) / exchanges
    await member.leave()
    return used_us, exchange_ms


def _handed_in(held: Sequence[Lease], want: int) -> Batch:
    visits = [(lease.id, 0) for lease in held if lease.timed]
    return Batch(done=[lease.id for lease in held], visits=visits, want=want)


def table(measured: Sequence[Cost]) -> Table:
    """A line for each number of hosts."""
    shown = Table(
        title="Redis' CPU for a lease and its completion, µs",
        caption="a delay of 1 ms, so that hosts are due again by the time they are asked",
    )
    shown.add_column("hosts", justify="right")
    for delay_ms in DELAYS_MS:
        for batch in BATCHES:
            name = f"with a delay, {batch}" if delay_ms else f"no delay, {batch} at once"
            shown.add_column(name, justify="right")
    shown.add_column("bytes a host", justify="right")
    for hosts in dict.fromkeys(one.hosts for one in measured):
        costs = [one for one in measured if one.hosts == hosts]
        cells = (f"{one.redis_us_per_lease:.0f}" for one in costs)
        shown.add_row(f"{hosts:,}", *cells, f"{costs[0].bytes_per_host:.0f}")
    return shown
