"""Counts a crawl anew, key by key, without a look at any counter."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

from crawlers.frontier import keys

from .crawl import MOST, Crawl, parse_lease
from .queues import parse_chunk
from .records import parse_spares, parse_work

_MOST_INTSET = 512  # members; Redis' own limit, set-max-intset-entries
# The kinds of keys of a generation, and what type each is of.
_TYPES = {
    "ready": "zset",
    "urgent": "zset",
    "suspects": "set",
    "pages": "hash",
    "hosts": "hash",
    "priorities": "zset",
    "requests": "list",
    "tail": "list",
    "deep": "list",
    "deep_hosts": "set",
    "chunk": "list",
    "chunks": "hash",
    "here": "zset",
    "wanted": "zset",
    "seen": "set",
    "worker": "hash",
    "leases": "hash",
}


@dataclass(slots=True)
class Tally:
    """What the keys of a crawl hold. `queued` and `known` are by host, then priority: the lengths of the
    queues, and the priorities that the host knows. `hosts`: how many of each host are active by its record;
    `deep`: those with deep queues by their records, `marked`: by the crawl's. `out`: requests that are in
    MongoDB, where nobody looked. `torn`: chunks of a host that don't hold what they should. `ready`: hosts
    that wait for their turn. `active`: leases that have a slot of their host, and `spares` those that have
    none. `unreadable`: leases that can't be read, by worker.
    """

    meta: dict[str, int]
    queued: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    known: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    hosts: dict[str, int] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    active: Counter[str] = field(default_factory=Counter)
    alive: set[str] = field(default_factory=set)
    holders: set[str] = field(default_factory=set)
    unreadable: Counter[str] = field(default_factory=Counter)
    out: int = 0
    deep: set[str] = field(default_factory=set)
    marked: set[str] = field(default_factory=set)
    torn: Counter[str] = field(default_factory=Counter)
    leased: int = 0
    spares: int = 0
    dead: int = 0
    seen: int = 0
    odd_buckets: dict[int, int] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    moved: bool = False

    @property
    def queued_in_all(self) -> int:
        """Requests in all queues."""
        return sum(sum(lengths.values()) for lengths in self.queued.values())


async def tally(crawl: Crawl) -> Tally:
    """Counts `crawl`. `moved` says that it went on meanwhile, so that figures may not fit each other."""
    counted = Tally(await crawl.meta())
    names = {name async for name in crawl.names()}
    sorted_names = await _by_kind(crawl, sorted(names), counted)
    for kind in ("requests", "tail"):
        await _count_queues(crawl, counted, kind, sorted_names[kind])
    await _count_chunks(crawl, counted, sorted_names["deep"])
    await _count_hosts(crawl, counted, sorted_names["priorities"])
    await _count_leases(crawl, counted, sorted_names["leases"])
    await _count_spares(crawl, counted, sorted_names["worker"])
    await _count_seen(crawl, counted, sorted_names["seen"])
    counted.holders |= set(sorted_names["worker"])
    counted.alive = await crawl.alive()
    counted.dead = await crawl.client.xlen(keys.dead(crawl.name)) + counted.meta.get("dead_out", 0)
    counted.moved = counted.meta != await crawl.meta()
    return counted


async def _by_kind(crawl: Crawl, names: list[str], counted: Tally) -> dict[str, list[str]]:
    """The names of each kind of key, without the kind; what is no key of a crawl is foreign."""
    kinds: dict[str, list[str]] = {kind: [] for kind in _TYPES}
    types = await _each(crawl, [("TYPE", f"{crawl.base}:{name}") for name in names])
    for name, type_ in zip(names, types, strict=True):
        kind, _, rest = name.partition(":")
        numbered = kind not in {"requests", "tail", "deep", "seen"} or _is_number(rest.rpartition(":")[2])
        if kind not in _TYPES or not numbered:
            counted.foreign[name] = "belongs to nothing"
        elif type_ == _TYPES[kind].encode():
            kinds[kind].append(rest)
        elif type_ != b"none":
            counted.foreign[name] = f"holds a {type_.decode()}, not a {_TYPES[kind]}"
    return kinds


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


async def _each(crawl: Crawl, calls: list[tuple[Any, ...]]) -> list[Any]:
    """The replies to many commands, each of which is a moment's work for Redis."""
    replies: list[Any] = []
    left = iter(calls)
    while some := list(islice(left, MOST)):
        async with crawl.client.pipeline(transaction=False) as pipe:
            for call in some:
                pipe.execute_command(*call)
            replies += await pipe.execute()
    return replies


async def _count_queues(crawl: Crawl, counted: Tally, kind: str, names: list[str]) -> None:
    lengths = await _each(crawl, [("LLEN", f"{crawl.base}:{kind}:{name}") for name in names])
    for name, length in zip(names, lengths, strict=True):
        _add(counted, name, length)


def _add(counted: Tally, queue: str, length: int) -> None:
    host, _, priority = queue.rpartition(":")
    if length:
        queues = counted.queued[host]
        queues[int(priority)] = queues.get(int(priority), 0) + length


async def _count_chunks(crawl: Crawl, counted: Tally, names: list[str]) -> None:
    """What is in MongoDB counts as it stands in Redis' record of it."""
    for name in names:
        ids = await cast(Any, crawl.client.lrange(f"{crawl.base}:deep:{name}", 0, -1))
        records = await _each(crawl, [("HGET", f"{crawl.base}:chunks", id_) for id_ in ids])
        lengths = await _each(crawl, [("LLEN", f"{crawl.base}:chunk:{id_.decode()}") for id_ in ids])
        for id_, record, there in zip(ids, records, lengths, strict=True):
            chunk = parse_chunk(id_, record)
            is_out = chunk is not None and chunk.state == "out"
            length = chunk.length if chunk else 0
            _add(counted, name, length if is_out else there)
            counted.out += length if is_out else 0
            counted.torn[name.rpartition(":")[0]] += not is_out and (not chunk or there != length)


async def _count_hosts(crawl: Crawl, counted: Tally, with_priorities: list[str]) -> None:
    if "hosts" not in counted.foreign:
        async for name, record in crawl.client.hscan_iter(f"{crawl.base}:hosts", count=MOST):
            work = parse_work(record)
            counted.hosts[name.decode()] = work.active
            if work.deep:
                counted.deep.add(name.decode())
            if work.only is not None:
                counted.known[name.decode()] = {work.only}
    for first in range(0, len(with_priorities), MOST):
        some = await crawl.several_priorities(with_priorities[first : first + MOST])
        for host, priorities in some.items():
            counted.known[host] |= set(priorities)
    if "deep_hosts" not in counted.foreign:
        async for name in crawl.client.sscan_iter(f"{crawl.base}:deep_hosts", count=MOST):
            counted.marked.add(name.decode())
    for queue in {"ready", "urgent"} - set(counted.foreign):
        async for name, _ in crawl.client.zscan_iter(f"{crawl.base}:{queue}", count=MOST):
            counted.ready.add(name.decode())


async def _count_leases(crawl: Crawl, counted: Tally, workers: list[str]) -> None:
    for worker in workers:
        held = {}
        async for lease, record in crawl.client.hscan_iter(f"{crawl.base}:leases:{worker}", count=100):
            held[lease] = parse_lease(worker, record)
        counted.holders.add(worker)
        counted.leased += len(held)
        counted.unreadable[worker] += sum(lease is None for lease in held.values())
        counted.active.update(lease.host for lease in held.values() if lease)


async def _count_spares(crawl: Crawl, counted: Tally, workers: list[str]) -> None:
    for text in await _each(
        crawl, [("HGET", f"{crawl.base}:worker:{worker}", "spares") for worker in workers]
    ):
        spares = parse_spares(text)
        counted.active.subtract(spares)
        counted.spares += sum(spares.values())


async def _count_seen(crawl: Crawl, counted: Tally, names: list[str]) -> None:
    buckets = [int(name) for name in names]
    sizes = await _each(crawl, [("SCARD", f"{crawl.base}:seen:{bucket}") for bucket in buckets])
    kinds = await _each(crawl, [("OBJECT", "ENCODING", f"{crawl.base}:seen:{bucket}") for bucket in buckets])
    counted.seen = sum(sizes)
    for bucket, size, kind in zip(buckets, sizes, kinds, strict=True):
        if kind not in (b"intset", None) and size <= _MOST_INTSET:
            counted.odd_buckets[bucket] = size
