"""A crawl that has seen any number of URLs and knows any number of hosts, and what it costs at that size."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import count, islice
from typing import Any, TypeVar

from benchmarks.fairness.crowd import Crowd, crowd
from benchmarks.frontier.ground import TERMS, batches, found_of, host_name, put, spend, take, tell_robots
from benchmarks.harness import BenchmarkError
from crawlers.frontier import Batch, Found, Frontier, Member

BATCH = 64

T = TypeVar("T")

_ROUNDS = 3
_OPERATIONS = 12_800  # of each kind in a round, fewer where little was seen
_STEP = 1.02  # memory is looked at whenever so much more was seen
_AT_ONCE = 1_000  # links in an exchange, as an outbox sends at most
_FILLER = "filler.example"
_PAYLOAD = found_of(0, 1).payload


@dataclass(frozen=True)
class Cost:
    """Redis' microseconds for a new link, for a seen one, for a lease with its completion."""

    seen: int
    hosts: int
    new_us: float
    seen_us: float
    lease_us: float


@dataclass(frozen=True)
class Memory:
    """Bytes for each seen URL at one moment of a crawl."""

    seen: int
    bytes_each: float


def fingerprint(number: int) -> int:
    """That of the URL of this number, as evenly spread as real ones."""
    return int.from_bytes(blake2b(number.to_bytes(8, "big"), digest_size=8).digest(), "big", signed=True)


def data_bytes(at: Crowd) -> int:
    """What the data take, without what is under way from connections and to the disk."""
    used, clients = at.redis.info("memory"), at.redis.client_list()
    under_way = used["mem_aof_buffer"] + sum(int(client["tot-mem"]) for client in clients)
    return int(used["used_memory"] - under_way)


class Growing:
    """The crawl. The robots.txt of its hosts are known."""

    def __init__(self, at: Crowd, hosts: int, runner: asyncio.Runner) -> None:
        self._at = at
        self._hosts = hosts
        self._runner = runner
        self._seen = self._filled = 0
        self._fresh = count()
        self._warm_up()
        self._spend_budget()
        self._empty_bytes = data_bytes(at)
        self._run(tell_robots(self._join(), [host_name(number) for number in range(hosts)]))
        self._told_bytes = data_bytes(at)

    def see(self, until: int) -> list[Memory]:
        """Lets it see URLs until they are so many, and queues none. What memory they took on the way."""
        grown: list[Memory] = []
        self._run(self._see(self._join(host_pages=1), until, grown))
        if self._joined_seen() != self._seen:
            raise BenchmarkError(f"The frontier has not seen the {self._seen:,} URLs that it was told.")
        return grown

    def memory(self) -> Memory:
        """At this moment; nothing is to be queued."""
        return Memory(self._seen, (data_bytes(self._at) - self._told_bytes) / self._seen)

    def queue(self, each: int) -> float:
        """Queues so many requests for each host. Bytes that each of them takes, with all of its host."""
        numbers = range(each * self._hosts)
        links = (Found(None, host_name(number % self._hosts), 0, _PAYLOAD) for number in numbers)
        slices = iter(lambda: list(islice(links, _AT_ONCE)), [])
        self._run(put(self._join(), slices))
        return (data_bytes(self._at) - self._empty_bytes) / len(numbers)

    def cost(self) -> Cost:
        """Medians of some rounds of each operation."""
        rounds = [self._cost() for _ in range(_ROUNDS)]
        return Cost(self._seen, self._hosts, *map(statistics.median, zip(*rounds, strict=True)))

    def _cost(self) -> tuple[float, float, float]:
        number = min(_OPERATIONS, self._filled // 8)
        new = [found_of(fresh, self._hosts) for fresh in islice(self._fresh, number)]
        chance = random.Random(self._seen)
        known = [link._replace(fingerprint=fingerprint(chance.randrange(self._filled))) for link in new]
        member = self._join()
        self._seen += number
        return (
            spend(self._at, number, lambda: self._run(put(member, batches(new, BATCH)))).redis_us,
            spend(self._at, number, lambda: self._run(put(member, batches(known, BATCH)))).redis_us,
            spend(self._at, number, lambda: self._run(take(member, number, BATCH))).redis_us,
        )

    def _join(self, **terms: Any) -> Member:
        joining = self._at.frontier.join("worker", replace(TERMS, persist=True, **terms))
        return self._run(joining)[0]

    def _joined_seen(self) -> int:
        return self._run(self._at.frontier.join("looker", replace(TERMS, persist=True)))[1].seen

    def _warm_up(self) -> None:
        """What Redis sets aside once, for scripts that write as much as those to come, is no data."""
        other = Frontier(self._at.frontier.client, "warm-up")
        member, _ = self._run(other.join("worker", TERMS))
        self._run(put(member, [[Found(fingerprint(n), _FILLER, 0, _PAYLOAD) for n in range(_AT_ONCE)]]))

    def _spend_budget(self) -> None:
        """One host has had the one page that `host_pages` allows it: its links will be seen, and no more."""
        member = self._join(host_pages=1)
        self._run(put(member, [[Found(None, _FILLER, 0, b"")]]))
        self._run(take(member, 1, BATCH))

    async def _see(self, member: Member, until: int, grown: list[Memory]) -> None:
        look_at = max(self._seen, 1)
        while self._seen < until:
            number = min(_AT_ONCE, until - self._seen)
            numbers = range(self._filled, self._filled + number)
            found = [Found(fingerprint(n), _FILLER, 0, b"") for n in numbers]
            await member.exchange(Batch(found=found))
            self._filled, self._seen = self._filled + number, self._seen + number
            if self._seen >= look_at:
                grown.append(self.memory())
                look_at = int(self._seen * _STEP)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


@contextmanager
def growing(hosts: int) -> Iterator[Growing]:
    """A crawl with so many hosts on a Redis of its own."""
    with crowd("growth") as at, asyncio.Runner() as runner:
        yield Growing(at, hosts, runner)
        runner.run(at.frontier.client.aclose())


def worst(grown: Sequence[Memory], first: int, last: int) -> Memory:
    """When a URL took most, while they grew from `first` to `last`."""
    return max((one for one in grown if first <= one.seen <= last), key=lambda one: one.bytes_each)
