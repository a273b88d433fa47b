"""A queue from its head to its end or back, wherever its parts are: in Redis or out of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, cast

from crawlers.frontier import keys

from .crawl import FIRST, MOST, BadRequest, Crawl, Letter, step_after
from .records import Work


class Letters(Protocol):
    """Where the dead letters are that are out of Redis, by the run of a crawl."""

    def read(self, shelf: str, *, newest_first: bool = False) -> AsyncIterator[list[Letter]]:
        """All of them, some at a time."""

    async def delete(self, shelf: str, ids: Iterable[str]) -> None:
        """Deletes some."""


class Store(Protocol):
    """Where the requests are that are out of Redis."""

    @property
    def letters(self) -> Letters:
        """And the dead letters."""

    def read(self, shelf: str, name: str, there: int = 0) -> AsyncIterator[list[bytes]]:
        """The requests of a chunk behind its first `there`, as far as they can be found."""


class Chunk(NamedTuple):
    """A part of a deep queue, as deep.lua has it; `state` is here, out or back."""

    id: str
    state: str
    name: str
    length: int


def parse_chunk(id_: bytes, record: bytes | None) -> Chunk | None:
    """A chunk as deep.lua writes it; None for what isn't one."""
    parts = (record or b"").decode(errors="replace").split(" ")
    if len(parts) != 5 or not parts[2].isdecimal():
        return None
    return Chunk(id_.decode(errors="replace"), parts[0], parts[1], int(parts[2]))


async def chunks_of(crawl: Crawl, host: str, priority: int) -> list[Chunk]:
    """The chunks of a deep queue, the first to come first. Those of which nothing is known are left out."""
    found: list[Chunk | None] = []
    key = f"{crawl.base}:deep:{host}:{priority}"
    while ids := await cast(Any, crawl.client.lrange(key, len(found), len(found) + MOST - 1)):
        records = await cast(Any, crawl.client.hmget(f"{crawl.base}:chunks", ids))
        found += map(parse_chunk, ids, records)
    return [chunk for chunk in found if chunk]


async def lengths(crawl: Crawl, works: Mapping[str, Work]) -> dict[str, int]:
    """How many requests are queued for each host of which this is known."""
    queues = [(host, work.only) for host, work in works.items() if work.only is not None]
    several = [host for host, work in works.items() if work.several]
    for host, priorities in (await crawl.several_priorities(several)).items():
        queues += [(host, priority) for priority in priorities]
    async with crawl.client.pipeline(transaction=False) as pipe:
        for host, priority in queues:
            pipe.llen(f"{crawl.base}:requests:{host}:{priority}")
        fronts = await pipe.execute()
    found = dict.fromkeys(works, 0)
    for (host, priority), front in zip(queues, fronts, strict=True):
        found[host] += front
        if priority in works[host].deep:
            found[host] += await crawl.client.llen(f"{crawl.base}:tail:{host}:{priority}")
            found[host] += sum(chunk.length for chunk in await chunks_of(crawl, host, priority))
    return found


async def elements(crawl: Crawl, host: str, priority: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A queue from its end to its head, some elements at a time, and the place of the first of them.

    Requests leave at the head and come in at the end: counted from the end, none that stays is skipped,
    though some may be seen twice. Raises :class:`BadRequest` for what can't be read.
    """
    front, tail = (f"{crawl.base}:{kind}:{host}:{priority}" for kind in ("requests", "tail"))
    before = await crawl.client.llen(front)
    before += sum(chunk.length for chunk in await chunks_of(crawl, host, priority))
    async for first, some in _from_end(crawl, tail):
        yield before + first, some
    for chunk in reversed(await chunks_of(crawl, host, priority)):
        before = first = max(0, before - chunk.length)
        async for some in elements_of(crawl, chunk):
            yield first, some
            first += len(some)
    async for first, some in _from_end(crawl, front):
        yield first, some


async def _from_end(crawl: Crawl, key: str) -> AsyncIterator[tuple[int, list[bytes]]]:
    done, number = 0, FIRST
    while True:
        async with crawl.client.pipeline(transaction=True) as pipe:
            pipe.llen(key)
            pipe.lrange(key, -done - number, -done - 1)
            length, some = await pipe.execute()
        if not some:
            return
        yield length - done - len(some), some
        done += len(some)
        number = step_after(some)


async def from_head(crawl: Crawl, host: str, priority: int) -> AsyncIterator[list[bytes]]:
    """A queue from its head to its end; of a crawl that moves, some may be skipped."""
    async for some in _list(crawl, f"requests:{host}:{priority}"):
        yield some
    for chunk in await chunks_of(crawl, host, priority):
        async for some in elements_of(crawl, chunk):
            yield some
    async for some in _list(crawl, f"tail:{host}:{priority}"):
        yield some


async def _list(crawl: Crawl, name: str, done: int = 0) -> AsyncIterator[list[bytes]]:
    number = FIRST
    while some := await cast(Any, crawl.client.lrange(f"{crawl.base}:{name}", done, done + number - 1)):
        yield some
        done += len(some)
        number = step_after(some)


async def elements_of(crawl: Crawl, chunk: Chunk) -> AsyncIterator[list[bytes]]:
    """The requests of a chunk, wherever it is moved meanwhile; ends early if it comes to the front.

    Raises :class:`BadRequest` where they are in neither place.
    """
    done, now = 0, await _now(crawl, chunk)
    while now:
        async for some in _read(crawl, now, done):
            yield some
            done += len(some)
        if done >= now.length:
            return
        before, now = now, await _now(crawl, chunk)
        if before == now:
            raise BadRequest(
                f"{now.length - done:,} queued requests are neither in Redis nor in MongoDB as MONGO_URI and"
                " MONGO_DATABASE have it: use those of the workers"
            )


async def _now(crawl: Crawl, chunk: Chunk) -> Chunk | None:
    record = await cast(Any, crawl.client.hget(f"{crawl.base}:chunks", chunk.id))
    return parse_chunk(chunk.id.encode(), record)


async def _read(crawl: Crawl, chunk: Chunk, done: int) -> AsyncIterator[list[bytes]]:
    if chunk.state != "out":
        async for some in _list(crawl, f"chunk:{chunk.id}", done):
            yield some
    elif crawl.store:
        shelf = await cast(Any, crawl.client.hget(keys.meta(crawl.name), "shelf")) or b""
        async for some in crawl.store.read(shelf.decode(), chunk.name, done):
            yield some
