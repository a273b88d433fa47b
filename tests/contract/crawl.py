"""A crawl under test: its frontier on one side, and its bare keys in Redis on the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from crawlers.frontier import Batch, Found, Frontier, Lease, Member, Reply, Terms, connect

HOST = "a.example"
# The fields of a host's records.
WORK = ("active", "only", "starting", "start_by_us")
MANNERS = ("next_us", "robots_us", "robots_ms", "throttle_ms", "strikes", "rests", "wake_us", "why")
LONG_MS = 3_600_000
"""A delay or time to live that no test outlasts."""


def link(name: str, host: str = HOST, priority: int = 0, fingerprint: int | None = None) -> Found:
    """A link whose payload is `name`; without a fingerprint it isn't deduplicated."""
    return Found(fingerprint, host, priority, name.encode())


def links(number: int, host: str = HOST, priority: int = 0) -> list[Found]:
    """`number` links to a host, the oldest first: "0", "1", ..."""
    return [link(str(n), host, priority) for n in range(number)]


def names(reply: Reply | Sequence[Lease]) -> list[str]:
    """The payloads that were leased, in order."""
    leases = reply.leases if isinstance(reply, Reply) else reply
    return [lease.payload.decode() for lease in leases]


def ids(reply: Reply) -> list[int]:
    """The leases of a reply, to be completed."""
    return [lease.id for lease in reply.leases]


async def want(member: Member, number: int) -> Reply:
    """An exchange of `member` that hands in nothing."""
    return await member.exchange(Batch(want=number))


async def visit(member: Member, reply: Reply, **handed_in: Any) -> Reply:
    """An exchange of `member` that says that all leases of `reply` have just gone to their sites."""
    return await member.exchange(Batch(visits=[(lease.id, 0) for lease in reply.leases], **handed_in))


async def give(member: Member, found: list[Found]) -> Reply:
    """An exchange of `member` that only hands in links."""
    return await member.exchange(Batch(found=found))


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it stands in its stream."""

    host: str
    priority: int
    attempts: int
    reason: str
    payload: bytes


@dataclass(slots=True)
class Recount:
    """What the keys of a crawl hold, counted one by one. `active_of`: leases with a slot; `spares`: those
    without.
    """

    queued: Counter[bytes] = field(default_factory=Counter)
    leased: Counter[bytes] = field(default_factory=Counter)
    dead: Counter[bytes] = field(default_factory=Counter)
    queued_of: Counter[str] = field(default_factory=Counter)
    active_of: Counter[str] = field(default_factory=Counter)
    priorities_of: dict[str, set[int]] = field(default_factory=dict)
    spares: int = 0


class Crawl:
    """A crawl whose keys a test may look at, and bend, behind the frontier's back."""

    def __init__(self, frontier: Frontier, client: redis.Redis) -> None:
        self.frontier = frontier
        self.redis: Any = client
        self.tag = f"{{{frontier.crawl}}}"

    async def join(self, name: str = "worker", *, flush: bool = False, **terms: Any) -> Member:
        """A new worker with these terms; its time to live outlasts the test."""
        member, _ = await self.frontier.join(name, Terms(**{"ttl_ms": LONG_MS, **terms}), flush=flush)
        return member

    @property
    def base(self) -> str:
        """What the keys of this generation begin with."""
        return f"{self.tag}:{int(self.redis.hget(f'{self.tag}:meta', 'generation') or 1)}"

    def key_names(self, pattern: str = "*") -> list[str]:
        """The names of this crawl's keys, without its tag."""
        found = self.redis.scan_iter(f"{self.tag}:{pattern}", count=1000)
        return sorted({key.decode().removeprefix(f"{self.tag}:") for key in found})

    def expire(self, member: Member) -> None:
        """Lets the time of `member` run out."""
        assert self.redis.zadd(f"{self.tag}:workers", {member.name: 1}, xx=True, ch=True) == 1

    def let_delays_pass(self) -> None:
        """Lets the next moment of every host come, as if all that was leased had gone there."""
        ready = f"{self.base}:ready"
        for host in self.redis.zrange(ready, 0, -1):
            self.redis.zadd(ready, {host: 1}, xx=True)
        for name in self.key_names("manners:*"):
            self.bend_manners(name.removeprefix("manners:"), next_us=0)
        for host in self.redis.hkeys(f"{self.base}:hosts"):
            self.bend_work(host.decode(), starting=0)

    def work(self, host: str = HOST) -> dict[str, str]:
        """What a host has to do, by the names of `hosts.lua`; nothing for one that has nothing to do."""
        record = self.redis.hget(f"{self.base}:hosts", host)
        fields = record.decode().split() if record else []
        return dict(zip(WORK, [*fields, "0", "0"], strict=False)) if fields else {}

    def bend_work(self, host: str = HOST, **fields: object) -> None:
        """Writes `fields` into what a host has to do."""
        bent = {**dict.fromkeys(WORK, "0"), **self.work(host), **fields}
        self.redis.hset(f"{self.base}:hosts", host, b" ".join(map(_written, bent.values())))

    def manners(self, host: str = HOST) -> dict[str, str]:
        """What is known of a host, by the names of `manners.lua`; nothing where nothing is."""
        record = self.redis.get(f"{self.tag}:manners:{host}")
        if record is None:
            return {}
        if record.isdigit():
            return dict.fromkeys(MANNERS, "0") | {"robots_us": record.decode(), "why": ""}
        return dict(zip(MANNERS, record.decode(errors="surrogateescape").split(" ", 7), strict=True))

    def bend_manners(self, host: str = HOST, **fields: object) -> None:
        """Writes `fields` into what is known of a host."""
        bent = {**dict.fromkeys(MANNERS, "0"), "why": "", **self.manners(host), **fields}
        self.redis.set(f"{self.tag}:manners:{host}", b" ".join(map(_written, bent.values())), keepttl=True)

    def letters(self) -> list[Letter]:
        """The dead letters, the oldest first."""
        letters = []
        for _, fields in self.redis.xrange(f"{self.tag}:dead"):
            host, priority, attempts, reason = (
                fields[name].decode() for name in (b"host", b"priority", b"attempts", b"reason")
            )
            letters.append(Letter(host, int(priority), int(attempts), reason, fields[b"payload"]))
        return letters

    def state(self) -> dict[str, object]:
        """The whole content of the crawl's keys."""
        read = {
            b"hash": self.redis.hgetall,
            b"set": self.redis.smembers,
            b"zset": lambda key: self.redis.zrange(key, 0, -1, withscores=True),
            b"list": lambda key: self.redis.lrange(key, 0, -1),
            b"stream": self.redis.xrange,
            b"string": self.redis.get,
        }
        keys = (f"{self.tag}:{name}" for name in self.key_names())
        return {key: read[self.redis.type(key)](key) for key in keys}

    def recount(self) -> Recount:
        """Counts queues, leases and dead letters anew, without a look at any counter."""
        base = self.base
        keys = [key.decode().removeprefix(base) for key in self.redis.scan_iter(f"{base}:*", count=10_000)]
        lists = sorted({key for key in keys if key.startswith(":requests:")})
        leases = sorted({key for key in keys if key.startswith(":leases:")})
        with self.redis.pipeline(transaction=False) as pipe:
            for key in lists:
                pipe.lrange(f"{base}{key}", 0, -1)
            for key in leases:
                pipe.hvals(f"{base}{key}")
            contents = pipe.execute()
        count = Recount()
        for key, elements in zip(lists, contents, strict=False):
            host, _, priority = key.removeprefix(":requests:").rpartition(":")
            count.priorities_of.setdefault(host, set()).add(int(priority))
            count.queued_of[host] += len(elements)
            count.queued.update(element.partition(b" ")[2] for element in elements)
        for record in (record for records in contents[len(lists) :] for record in records):
            _, host, _, _, payload = record.split(b" ", 4)
            count.active_of[host.decode()] += 1
            count.leased[payload] += 1
        for key in (key for key in keys if key.startswith(":worker:")):
            for host, number in spares_of(self.redis.hget(f"{base}{key}", "spares")).items():
                count.active_of[host] -= number
                count.spares += number
        count.dead.update(letter.payload for letter in self.letters())
        return count


def spares_of(text: bytes | None) -> dict[str, int]:
    """The `spares` of a worker's record."""
    words = (text or b"").decode().split()
    return {host: int(number) for host, number in zip(words[::2], words[1::2], strict=True)}


def _written(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")


def open_crawl(url: str, name: str, client: redis.Redis) -> Crawl:
    """The crawl `name` of the Redis at `url`, which `client` looks into."""
    return Crawl(Frontier(connect({"REDIS_URL": url}), name), client)


async def crawl_through(frontier: Frontier) -> None:
    """A whole crawl with everything that a worker asks of a frontier, from a start URL to its end."""
    start_urls = f"{{{frontier.crawl}}}:start_urls"
    await frontier.client.rpush(start_urls, "start")
    member, _ = await frontier.join("worker", Terms(ttl_ms=LONG_MS))
    claimed = await frontier.claim(start_urls, 5, LONG_MS)
    await give(member, [Found(n, f"{n % 3}.example", 0, claimed.entries[0]) for n in range(9)])
    await frontier.release(start_urls, claimed.claims)
    leased = await want(member, 20)
    (worker,) = (await frontier.status()).workers
    assert (worker.name, worker.leased) == (member.name, 9)
    assert names(leased) == ["start"] * 9
    assert (await member.exchange(Batch(done=ids(leased), idle=True))).finished
    assert await member.leave()
    await frontier.purge()
    status = await frontier.status()
    assert (status.done, status.finished, status.workers) == (9, True, [])


async def crawl_with(settings: dict[str, Any]) -> None:
    """A small crawl from join to leave, on the Redis that `settings` name."""
    client = connect(settings)
    try:
        await crawl_through(Frontier(client, "crawl"))
    finally:
        await client.aclose()
