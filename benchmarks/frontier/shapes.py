"""Crawls of every shape that could make one call to Redis long, each at work on a crawl of many hosts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.fairness.crowd import Crowd
from benchmarks.frontier.ground import TERMS, batches, host_name
from benchmarks.frontier.growing import fingerprint
from crawlers.frontier import Batch, Deep, Failed, Found, HostPolicy, Lease, Member, News
from crawlers.frontier.operations import Crawl, clear, overview, retry_dead
from crawlers.scheduler.hostkeys import HostKeys
from crawlers.scheduler.load import MOST_WANTED
from crawlers.scheduler.outbox import Outbox

_DAY_MS = 86_400_000
_PAYLOAD = b"x" * 80
_LEASES = 5_000


@dataclass
class Ground:
    """A crawl with many hosts, each with a request that is due; `size` of what else there is much of."""

    at: Crowd
    hosts: int
    size: int
    new: int = 0

    async def join(self, name: str = "worker", **terms: Any) -> Member:
        """A worker that is never taken for dead, of a crawl that is never done."""
        terms = {"ttl_ms": _DAY_MS, "persist": True, **terms}
        return (await self.at.frontier.join(name, replace(TERMS, **terms)))[0]

    def links(self, number: int, *, each: int = 1, known: bool = False, **fields: Any) -> Iterator[Found]:
        """Links that nobody has seen, `each` to one host, which is new unless it is `known`."""
        for _ in range(number):
            self.new += 1
            host = host_name(self.new // each % self.hosts) if known else f"new{self.new // each}.example"
            yield Found(fingerprint(self.new), host, 0, _PAYLOAD)._replace(**fields)

    def filled(self, outbox: Outbox, **handed_in: Any) -> Batch:
        """What a worker hands in at once of what waits in `outbox`."""
        batch = Batch(**handed_in)
        outbox.fill(batch)
        return batch

    async def hand_in(self, member: Member, links: Iterator[Found]) -> None:
        """All of these, in as many exchanges as a worker makes of them."""
        outbox = Outbox(lambda: None, asyncio.get_running_loop().time, HostKeys("host"))
        for link in links:
            outbox.put(link)
        while outbox:
            await member.exchange(self.filled(outbox))

    async def work(self, member: Member, rounds: int, links: Callable[[int], Iterator[Found]]) -> None:
        """Exchanges that are full of all that a worker may hand in, and ask for all that it may have."""
        outbox = Outbox(lambda: None, asyncio.get_running_loop().time, HostKeys("host"))
        held: list[Lease] = []
        for _ in range(rounds):
            for link in links(1000):
                outbox.put(link)
            batch = self.filled(outbox, want=MOST_WANTED, done=[lease.id for lease in held])
            batch.visits = [(lease.id, 0) for lease in held]
            batch.news = [News.robots(lease.host, 1000, _DAY_MS) for lease in held]
            held = (await member.exchange(batch)).leases

    async def lease(self, name: str, number: int, **terms: Any) -> Member:
        """A worker that holds so many."""
        member = await self.join(name, **{"limit": 0, "robots": False, **terms})
        await self.hand_in(member, self.links(number, each=10))
        held = 0
        while held < number and (leases := (await member.exchange(Batch(want=1000))).leases):
            held += len(leases)
        return member

    def expire(self, member: Member) -> None:
        """Lets its time run out."""
        self.at.redis.zadd(f"{{{self.at.frontier.crawl}}}:workers", {member.name: 1})

    def make_due(self) -> None:
        """All hosts fall due at once."""
        ready = self.at.ready
        for some in batches(self.at.redis.zrange(ready, 0, -1), 1000):
            self.at.redis.zadd(ready, dict.fromkeys(some, 1), xx=True)

    async def operated(self) -> Crawl:
        """As an operator sees it."""
        return await Crawl.open(self.at.frontier.client, self.at.frontier.crawl)


Measure = Callable[[], Any]
"""What is done within it counts."""
Shape = Callable[[Ground, Measure], Awaitable[None]]


async def new_hosts(ground: Ground, measure: Measure) -> None:
    """Links to a new host each, with a delay."""
    member = await ground.join(delay_ms=1000)
    async with measure():
        await ground.hand_in(member, ground.links(ground.size))


async def known_hosts(ground: Ground, measure: Measure) -> None:
    """Links to a known host each."""
    member = await ground.join()
    async with measure():
        await ground.hand_in(member, ground.links(ground.size, known=True))


async def priorities(ground: Ground, measure: Measure) -> None:
    """Links of a priority each to one host, and their leases."""
    member = await ground.join(limit=0, robots=False)
    links = (link._replace(priority=n, host="many.example") for n, link in enumerate(ground.links(5000)))
    async with measure():
        await ground.hand_in(member, links)
        for _ in range(20):
            await member.exchange(Batch(want=MOST_WANTED))


async def large(ground: Ground, measure: Measure) -> None:
    """Links of half a megabyte each, and their leases."""
    member = await ground.join(limit=0, robots=False)
    async with measure():
        await ground.hand_in(member, ground.links(100, each=100, payload=b"x" * 500_000))
        ground.at.redis.zadd(ground.at.ready, {f"new{ground.new // 100}.example": 0}, xx=True)
        for _ in range(20):
            await member.exchange(Batch(want=MOST_WANTED))


def _full(name: str, doc: str, **terms: Any) -> Shape:
    async def shape(ground: Ground, measure: Measure) -> None:
        member = await ground.join(**terms)
        ground.make_due()
        async with measure():
            await ground.work(member, 60, ground.links)

    shape.__name__, shape.__doc__ = name, doc
    return shape


full = [
    _full(
        "full", "Exchanges full of all: new hosts, completions, news, visits, leases; all hosts due.", limit=8
    ),
    _full("full_delay", "The same with a delay.", delay_ms=1000),
    _full("full_throttle", "The same with AutoThrottle.", throttle=1000),
    _full("full_strict", "The same where priorities hold over hosts.", strict=True, delay_ms=1000),
    _full("full_budget", "The same with a budget of pages.", host_pages=3, delay_ms=1000),
]


async def reaped(ground: Ground, measure: Measure) -> None:
    """A worker dies with 5,000 leases."""
    dead, other = await ground.lease("dead", _LEASES), await ground.join("other", delay_ms=1000)
    ground.expire(dead)
    async with measure():
        while dead.name.encode() in ground.at.redis.zrange(f"{{{ground.at.frontier.crawl}}}:workers", 0, -1):
            await other.exchange(Batch())


async def suspected(ground: Ground, measure: Measure) -> None:
    """A worker dies with 5,000 leases on their last attempt but one."""
    other = await ground.join("other", limit=0)
    for _ in range(2):
        dead = await ground.lease("dead", _LEASES, max_attempts=2)
        ground.expire(dead)
        async with measure():
            for _ in range(60):
                await other.exchange(Batch(want=MOST_WANTED))


async def left(ground: Ground, measure: Measure) -> None:
    """A worker leaves with 5,000 leases."""
    member = await ground.lease("leaver", _LEASES)
    async with measure():
        await member.leave()


async def joined(ground: Ground, measure: Measure) -> None:
    """A worker joins after 100 have died with 100 leases each, with 10,000 hosts in DOWNLOAD_SLOTS."""
    for n in range(100):
        ground.expire(await ground.lease(str(n), 100))
    policy = {f"slot{n}.example": HostPolicy(1000, 2) for n in range(10_000)}
    async with measure():
        await ground.join(policy=policy)


async def policies(ground: Ground, measure: Measure) -> None:
    """Full exchanges with 10,000 hosts in DOWNLOAD_SLOTS."""
    policy = {host_name(n): HostPolicy(1000, 2) for n in range(10_000)}
    member = await ground.join(policy=policy)
    async with measure():
        await ground.work(member, 30, ground.links)


async def given_up(ground: Ground, measure: Measure) -> None:
    """A thousand hosts with 20 pages each are given up at once."""
    member = await ground.join(strikes=1, rest_ms=1, rests=1, robots=False)
    links = list(ground.links(20_000, each=20))
    await ground.hand_in(member, iter(links))
    names = sorted({link.host for link in links})
    for _ in range(3):
        for some in batches(names, 100):
            await member.exchange(Batch(news=[News.trouble(name, "HTTP 503", wait_ms=1) for name in some]))
    ground.at.redis.zadd(ground.at.ready, dict.fromkeys(names, 0), xx=True)
    async with measure():
        for _ in range(200):
            await member.exchange(Batch(want=MOST_WANTED))


async def failed(ground: Ground, measure: Measure) -> None:
    """All leases fail for good."""
    member = await ground.lease("failing", _LEASES)
    async with measure():
        for first in range(1, _LEASES, 100):
            ids = range(first, first + 100)
            await member.exchange(Batch(failed=[Failed(id_, "x" * 500, final=True) for id_ in ids]))


async def claimed(ground: Ground, measure: Measure) -> None:
    """Start URLs out of a long list, set and sorted set."""
    client, values = ground.at.redis, [f"http://{n}.example/" for n in range(ground.size)]
    for key, put in (("l", client.rpush), ("s", client.sadd), ("z", None)):
        for some in batches(values, 1000):
            put(f"{key}_urls", *some) if put else client.zadd(f"{key}_urls", dict.fromkeys(some, 1))
        async with measure():
            for _ in range(20):
                await ground.at.frontier.claim(f"{key}_urls", 200, 1)


async def moved_away(ground: Ground, measure: Measure) -> None:
    """Deep queues move out of Redis and come back, and chunks are cut out of many hosts' queues."""
    member = await ground.join(chunk=1000, robots=False)
    deep, back = Deep(ground.at.frontier.client, ground.at.frontier.crawl, "mover"), b"0 " + _PAYLOAD
    async with measure():
        await ground.hand_in(member, ground.links(20_000, each=1_000_000))
        plan = await deep.plan(0, 10)
        await deep.spilled(plan.spill)
        for _ in range(20):
            await member.exchange(Batch(want=MOST_WANTED))
        for wanted in (await deep.plan(None, 10)).wanted:
            await deep.fetched(wanted, 0, [back] * wanted.length)
        cursor = 0
        for _ in range(50):
            cursor, _ = await deep.cut(cursor, 50)


async def operators(ground: Ground, measure: Measure) -> None:
    """An operator looks, and has 5,000 dead letters tried again; for the rest see operator_commands."""
    await failed(ground, _unmeasured)
    crawl = await ground.operated()
    async with measure():
        await overview(crawl)
        await retry_dead(crawl)


async def cleared(ground: Ground, measure: Measure) -> None:
    """All of it is cleared and freed, with a worker that holds much, and a host of many priorities."""
    await priorities(ground, _unmeasured)
    await ground.lease("holder", _LEASES)
    async with measure():
        await clear(await ground.operated())


@asynccontextmanager
async def _unmeasured() -> AsyncIterator[None]:
    yield


SHAPES: list[Shape] = [
    *(new_hosts, known_hosts, priorities, large, *full, reaped, left, joined, policies),
    *(given_up, failed, claimed, moved_away, operators, suspected, cleared),
]
