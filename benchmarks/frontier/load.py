"""Simulated workers: real exchanges, pages that are made up and bring one new link each."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any
from zlib import crc32

from benchmarks.fairness.crowd import Crowd
from benchmarks.frontier.ground import TERMS, found_of, host_name, put, tell_robots
from benchmarks.harness import BenchmarkError
from crawlers.frontier import Batch, Found, Frontier, Lease, Member

ELSEWHERE = 4
"""Every so many-th link leads to another host, the rest to the page's own."""

UNDER_WAY = 32
"""So many exchanges wait for Redis at any moment, when it is to have no pause."""

Work = Coroutine[Any, Any, None]

# Nobody is to be taken for dead, and no reply given up, because the machine is busy with something else.
_TERMS = replace(TERMS, ttl_ms=600_000)
_PAYLOAD = found_of(0, 1).payload
_AT_ONCE = 1_000


@dataclass(frozen=True)
class Hosts:
    """So many hosts, dealt out to so many shards by their names."""

    number: int
    shards: int = 1

    def shard_of(self, host: str) -> int:
        """Where the host is."""
        return crc32(host.encode()) % self.shards

    def of_shard(self, shard: int) -> list[str]:
        """Who is there."""
        return [name for name in map(host_name, range(self.number)) if self.shard_of(name) == shard]

    def any(self) -> str:
        """One of them by chance."""
        return host_name(random.randrange(self.number))


@dataclass
class Tally:
    """What was done so far: pages of each shard, and how long exchanges took."""

    pages: list[int]
    latencies_s: list[float] = field(default_factory=list)

    def percentile_ms(self, percent: int) -> float:
        """So many percent of the exchanges took at most this."""
        ranked = sorted(self.latencies_s)
        return 1000 * ranked[min(len(ranked) * percent // 100, len(ranked) - 1)]


class Worker:
    """A worker that is a member of each shard's crawl and turns to one after the other."""

    def __init__(self, members: Sequence[Member], hosts: Hosts) -> None:
        self._members = members
        self._hosts = hosts
        self._held: list[list[int]] = [[] for _ in members]
        self._outboxes: list[list[Found]] = [[] for _ in members]
        self._turn = random.randrange(len(members))

    async def work(self, tally: Tally, batch: int, period_s: float, until_s: float) -> None:
        """An exchange every `period_s` on average, until the clock says `until_s`."""
        next_s = time.perf_counter() + random.uniform(0, period_s)
        while next_s < until_s:
            await asyncio.sleep(next_s - time.perf_counter())
            await self.exchange(tally, batch)
            next_s += period_s * random.uniform(0.5, 1.5)

    async def exchange(self, tally: Tally, batch: int) -> None:
        """Hands in the pages leased the last time with the links on them, and leases as many as `batch`."""
        self._turn = shard = (self._turn + 1) % len(self._members)
        found, done = self._outboxes[shard], self._held[shard]
        member = self._members[shard]
        prepared = member.prepare(Batch(found=found, done=done, want=batch))
        started_s = time.perf_counter()
        reply = await member.send(prepared)
        tally.latencies_s.append(time.perf_counter() - started_s)
        if reply.fenced:
            raise BenchmarkError("A simulated worker was taken for dead: this machine is too busy.")
        tally.pages[shard] += len(done)
        self._outboxes[shard], self._held[shard] = [], [lease.id for lease in reply.leases]
        for lease in reply.leases:
            link = self._link_on(lease)
            self._outboxes[self._hosts.shard_of(link.host)].append(link)

    def _link_on(self, lease: Lease) -> Found:
        host = lease.host if random.randrange(ELSEWHERE) else self._hosts.any()
        return Found(random.getrandbits(64) - 2**63, host, 0, _PAYLOAD)


@dataclass(frozen=True)
class Period:
    """What so many seconds of work were. `redis_s`: CPU of each shard's Redis, `client_s` of this process."""

    wall_s: float
    tally: Tally
    redis_s: list[float]
    client_s: float

    @property
    def pages(self) -> int:
        """Of all shards."""
        return sum(self.tally.pages)

    @property
    def redis_us(self) -> float:
        """Microseconds of Redis for a page, all shards together."""
        return 1e6 * sum(self.redis_s) / self.pages


class Fleet:
    """Workers that share a crawl, each shard of which is on one of `nodes`, with `queued` requests a host."""

    def __init__(self, nodes: Sequence[Crowd], hosts: Hosts) -> None:
        self._nodes = nodes
        self._hosts = hosts
        self._workers: deque[Worker] = deque()

    async def fill(self, queued: int) -> None:
        """Makes the hosts' robots.txt known and queues so many requests for each."""
        for shard, node in enumerate(self._nodes):
            member, _ = await node.frontier.join("filler", _TERMS)
            names = self._hosts.of_shard(shard)
            await tell_robots(member, names)
            for first in range(0, len(names), _AT_ONCE // queued):
                some = names[first : first + _AT_ONCE // queued]
                await put(member, [[Found(None, name, 0, _PAYLOAD) for name in some for _ in range(queued)]])
            await member.leave()

    async def hire(self, number: int, frontiers: Callable[[], Sequence[Frontier]]) -> None:
        """So many workers join, each through frontiers of its own, one a shard."""
        for _ in range(number):
            joined = [await frontier.join("worker", _TERMS) for frontier in frontiers()]
            self._workers.append(Worker([member for member, _ in joined], self._hosts))

    async def turn_over(self, batch: int) -> None:
        """Each worker completes what it holds and leases so many."""
        turns = len(self._nodes)
        await self._period(self._go_on(batch, lambda n: n < turns * len(self._workers)))

    async def work_flat_out(self, batch: int, seconds: float) -> Period:
        """Some worker or other always has an exchange under way, UNDER_WAY at any moment."""
        until_s = time.perf_counter() + seconds
        return await self._period(self._go_on(batch, lambda _: time.perf_counter() < until_s))

    async def work_at(self, batch: int, pages_per_s: float, seconds: float) -> Period:
        """All of them at their own times, which together makes so many pages a second."""
        period_s = len(self._workers) * batch / pages_per_s
        until_s = time.perf_counter() + seconds
        return await self._period(
            lambda tally: [worker.work(tally, batch, period_s, until_s) for worker in self._workers]
        )

    def _go_on(self, batch: int, while_true: Callable[[int], bool]) -> Callable[[Tally], list[Work]]:
        """The workers in turn, as long as the number of exchanges is such that `while_true`."""

        async def go_on(tally: Tally, numbers: Iterator[int]) -> None:
            while while_true(next(numbers)):
                worker = self._workers.popleft()
                await worker.exchange(tally, batch)
                self._workers.append(worker)

        def start(tally: Tally) -> list[Work]:
            numbers = count()
            return [go_on(tally, numbers) for _ in range(min(UNDER_WAY, len(self._workers)))]

        return start

    async def _period(self, start: Callable[[Tally], list[Work]]) -> Period:
        tally = Tally([0] * len(self._nodes))
        redis_s, client_s = [node.cpu_s() for node in self._nodes], time.process_time()
        started_s = time.perf_counter()
        await asyncio.gather(*start(tally))
        wall_s = time.perf_counter() - started_s
        used_s = [node.cpu_s() - before_s for node, before_s in zip(self._nodes, redis_s, strict=True)]
        return Period(wall_s, tally, used_s, time.process_time() - client_s)
