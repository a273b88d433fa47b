"""What moves of a crawl's deep queues between Redis and elsewhere, step by step. `deep.lua` holds the rules.

A step may be repeated, by whomever, and may be the last thing that its caller did: what is queued is in
Redis until :meth:`Deep.spilled`, and elsewhere until, some time after :meth:`Deep.fetched`, its name comes up
as stale.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from . import keys, scripts
from .connection import Client

KEEP_MS = 120_000
"""How long what came back stays elsewhere: Redis may forget its last second, or some with a slow disk."""

WITHIN_MS = 60_000
"""How long a chunk may take to be written. So much less than KEEP_MS that no name is deleted while in use."""

_HOLD_MS = 5_000  # a mover that died is replaced after this long
_STEP_BYTES, _FIRST = 1_000_000, 50


class Closed(NamedTuple):
    """A chunk that is to go: its id, the name that it gets elsewhere, its requests, the key of its list."""

    id: str
    name: str
    length: int
    list: str


class Wanted(NamedTuple):
    """A chunk that is to come back: of its `length` requests `there` are in Redis already."""

    id: str
    name: str
    length: int
    there: int
    host: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done next: nothing by whoever isn't the `mover`.

    `workers` of this crawl are alive. `shelf`: what begins all its names elsewhere. `stale`: names to be
    deleted there. `out`: requests that are elsewhere. `over`: requests in Redis above the limit.
    """

    mover: bool
    workers: int
    shelf: str = ""
    spill: list[Closed] = field(default_factory=list)
    wanted: list[Wanted] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    out: int = 0
    over: int = 0


class Deep:
    """The deep queues of the crawl `crawl`, for the worker `worker` to move. Raises redis-py's errors."""

    def __init__(self, client: Client, crawl: str, worker: str) -> None:
        self._client = client
        self._crawl = crawl
        self._keys = keys.of_scripts(crawl)
        self._worker = worker

    async def plan(
        self, limit: int | None, most: int, *, keep_ms: int = KEEP_MS, hold_ms: int = _HOLD_MS
    ) -> Plan:
        """What to do next, at most `most` chunks of each kind.

        `limit`: requests that may stay in Redis; None: nothing is to go.
        """
        reply = await self._run(
            scripts.PLAN,
            worker=self._worker,
            hold_ms=hold_ms,
            shelf=str(secrets.randbelow(10**15)),
            limit=-1 if limit is None else limit,
            most=most,
            keep_ms=keep_ms,
        )
        if reply[0] == 0:
            return Plan(mover=False, workers=reply[1])
        _, workers, shelf, spill, wanted, stale, out, over = reply
        return Plan(
            True,
            workers,
            shelf.decode(),
            [Closed(_text(c[0]), _text(c[1]), c[2], _text(c[3])) for c in spill],
            [Wanted(_text(w[0]), _text(w[1]), w[2], w[3], _text(w[4])) for w in wanted],
            [_text(name) for name in stale],
            out,
            over,
        )

    async def elements(self, chunk: Closed) -> AsyncIterator[list[bytes]]:
        """The requests of a chunk, about a megabyte at a time; fewer than its length if it has been taken."""
        done, number = 0, _FIRST
        while done < chunk.length:
            last = min(done + number, chunk.length) - 1
            some = await cast(Any, self._client.lrange(chunk.list, done, last))
            if not some:
                return
            yield some
            done += len(some)
            number = max(1, _STEP_BYTES // (sum(map(len, some)) // len(some) + 1))

    async def spilled(self, chunks: list[Closed]) -> int:
        """These are elsewhere now, and for good: Redis drops them. Returns how many it did."""
        pairs = [(chunk.id, chunk.name) for chunk in chunks]
        return int(await self._run(scripts.SPILL, chunks=pairs, within_ms=WITHIN_MS))

    async def fetched(self, chunk: Wanted, there: int, elements: list[bytes]) -> int:
        """A part of a chunk, behind its first `there` requests; [] where it can't be found, so that others go
        first from now on. Returns how many are in Redis now.
        """
        return int(
            await self._run(scripts.FETCH, id=chunk.id, name=chunk.name, there=there, elements=elements)
        )

    async def forget(self, names: list[str]) -> None:
        """These stale names are deleted."""
        await self._client.zrem(keys.returned(self._crawl), *names)

    async def cut(self, cursor: int, keep: int, *, hosts: int = 100, most: int = 20) -> tuple[int, int]:
        """Makes up to `most` chunks of what some hosts have queued beyond their first `keep` requests.

        Returns where to go on, 0 after the last host, and how many chunks were made.
        """
        after, made = await self._run(scripts.CUT, cursor=str(cursor), hosts=hosts, keep=keep, most=most)
        return int(after), int(made)

    async def _run(self, script: scripts.Script, **values: Any) -> Any:
        return await script(self._client, self._keys, scripts.pack_input(values))


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")
