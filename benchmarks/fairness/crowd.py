"""A crawl of many hosts and the simulated workers that share it: the frontier alone, no Scrapy, no sites."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from crawlers.frontier import Batch, Found, Frontier, Lease, Member, Reply, Terms, connect
from crawlers.scheduler.pace import Pace
from deploy.local.servers import redis_server

WORKERS = 8
WANT = (32, 64)
"""A worker's room for requests, from and to, at random at each exchange."""

_DAY_MS = 86_400_000
_PAYLOAD = b"x" * 80  # what a URL of as many characters takes
_BATCH = 1000

Look = Callable[[list[Lease], Reply], Awaitable[bool]]
"""Is told what was held before an exchange, and its reply; False ends the work."""


@dataclass(frozen=True)
class Crowd:
    """A crawl on a Redis of its own, which `redis` looks into."""

    frontier: Frontier
    redis: Any

    async def join(self, name: str = "worker", **terms: Any) -> Member:
        """A worker that is never taken for dead; its `terms` are those of the whole crawl from now on."""
        member, _ = await self.frontier.join(name, Terms(ttl_ms=_DAY_MS, **terms))
        return member

    @property
    def ready(self) -> str:
        """The sorted set of hosts and their next moments, in µs of Redis' clock."""
        return f"{{{self.frontier.crawl}}}:1:ready"

    def cpu_s(self) -> float:
        """What Redis has used so far."""
        info = self.redis.info("cpu")
        return float(info["used_cpu_user"] + info["used_cpu_sys"])

    def memory_bytes(self) -> int:
        """What its data take."""
        return int(self.redis.info("memory")["used_memory"])


@contextmanager
def crowd(name: str) -> Iterator[Crowd]:
    """An empty crawl; Redis writes to its disk as in production."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="benchmark-")))
        server = stack.enter_context(redis_server(folder / "redis"))
        client = stack.enter_context(redis.Redis.from_url(server.url))
        # A rewrite of the whole file now and then would go to the account of whatever is measured then.
        client.config_set("auto-aof-rewrite-percentage", 0)
        yield Crowd(Frontier(connect({"REDIS_URL": server.url}), name), client)


def host_name(number: int) -> str:
    """The host of that number."""
    return f"host{number:07}.example"


async def fill(member: Member, queues: Iterable[tuple[str, int]]) -> None:
    """Queues so many requests for each host."""
    found = (Found(None, host, 0, _PAYLOAD) for host, number in queues for _ in range(number))
    while batch := list(islice(found, _BATCH)):
        await member.exchange(Batch(found=batch))


def spread(crowd: Crowd, over_ms: int) -> None:
    """Makes hosts due one after another, as those are that were found one after another."""
    hosts = crowd.redis.zrange(crowd.ready, 0, -1)
    random.Random(0).shuffle(hosts)
    now_s, now_us = crowd.redis.time()
    first_us, apart_us = now_s * 1_000_000 + now_us, over_ms * 1000 / max(1, len(hosts))
    moments = {host: first_us + round(number * apart_us) for number, host in enumerate(hosts)}
    crowd.redis.zadd(crowd.ready, moments, xx=True)


async def work(member: Member, seed: int, look: Look) -> None:
    """Exchanges as a worker does whose pages take no time, until `look` says that it is over."""
    chance, pace = random.Random(seed), Pace()
    held: list[Lease] = []
    going_on = True
    while going_on:
        reply = await member.exchange(
            Batch(
                done=[lease.id for lease in held],
                visits=[(lease.id, 0) for lease in held if lease.timed],
                want=chance.randint(*WANT),
            )
        )
        pace.hear(reply)
        going_on = await look(held, reply)
        held = reply.leases
        if not held:
            await asyncio.sleep(pace.pause_s(reply, chance))


async def work_together(crowd: Crowd, look: Look, **terms: Any) -> float:
    """WORKERS at once, until `look` ends it; how many seconds it took."""
    members = [await crowd.join(f"worker-{number}", **terms) for number in range(WORKERS)]
    started_s = time.perf_counter()
    await asyncio.gather(*(work(member, seed, look) for seed, member in enumerate(members)))
    return time.perf_counter() - started_s
