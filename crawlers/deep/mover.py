"""Moves chunks of deep queues to MongoDB and back, and holds its worker back before Redis is full.

One worker of a crawl moves at a time. Whatever ends it, at whatever moment, another goes on: see
`crawlers/frontier/deep.lua`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from pymongo.errors import PyMongoError
from redis.exceptions import RedisClusterException, RedisError

from crawlers.frontier import Closed, Deep, Plan, Wanted
from crawlers.mongo import BadMongoSetting
from crawlers.mongo.errors import Trouble

from .memory import GO_ON_AT, HOLD_AT, SPILL_AT, Memory
from .store import MAX_BYTES, ChunkStore, part_of

logger = logging.getLogger(__name__)

_MOST = 50  # chunks of each kind in one step
# Between two steps of the mover, with something out and without; between two looks of the others.
_PAUSE_S, _REST_S, _LOOK_S = 0.1, 0.5, 1.0
_SEARCH_S = 0.01  # while queues are sought that are long enough to be cut: Redis has more to do
_LOOKS_S = 0.02  # so often all workers look together, at most
_RETRY_S = 2.0  # after an error
_LEAST_KEPT = 100  # requests of a queue that stay, whatever the limit


class Mover:
    """The deep queues of one worker's crawl.

    `limit`: requests that stay in Redis, 0 for all. `chunk`: requests of one chunk. `hold_back` is told to
    stop taking more, and to go on.
    """

    def __init__(
        self,
        deep: Deep,
        store: ChunkStore,
        memory: Memory,
        crawl: str,
        *,
        limit: int,
        chunk: int,
        hold_back: Callable[[bool], None] = lambda _full: None,
    ) -> None:
        self._deep = deep
        self._store = store
        self._memory = memory
        self._crawl = crawl
        self._limit = limit
        self._hold_back = hold_back
        self.moves = False  # it is the one that does, by the last step
        self._full = self._ailing = False
        self._trouble = Trouble(store.name, "Deep queues stay in Redis, and hosts wait for what is out")
        self._missing: set[str] = set()
        self._cutter = _Cutter(deep, chunk)
        self._said = ""

    async def run(self) -> None:
        """Moves until it is cancelled. Nothing that Redis or MongoDB do ends it."""
        while True:
            await asyncio.sleep(await self.step())

    async def step(self) -> float:
        """Does what is due. Returns after how many seconds to come back."""
        try:
            if self._ailing:
                await self._store.answers()
            used = await self._memory.used()
            self._watch(used)
            plan = await self._deep.plan(self._limit_at(used), _MOST)
            self.moves = plan.mover
            if not plan.mover:
                return max(_LOOK_S, _LOOKS_S * plan.workers)
            pause_s = await self._carry_out(plan, is_tight=used >= SPILL_AT)
        except (RedisError, RedisClusterException, OSError) as error:
            self._say_once(error)
            return _RETRY_S
        except (PyMongoError, BadMongoSetting) as error:
            self._ailing = True
            self._trouble.began(error)
            return _RETRY_S
        self._said = ""
        return pause_s

    def _limit_at(self, used: float) -> int | None:
        if not self._limit:
            return None
        return 0 if used >= SPILL_AT else self._limit

    def _watch(self, used: float) -> None:
        full = used >= (GO_ON_AT if self._full else HOLD_AT)
        if full and not self._full:
            advice = "lower FRONTIER_QUEUED_IN_REDIS" if self._limit else "set FRONTIER_QUEUED_IN_REDIS"
            text = "Redis is %.0f %% full: no more pages and start URLs are taken until it is below %.0f %%."
            logger.warning(f"{text} Raise its maxmemory, or %s", used * 100, GO_ON_AT * 100, advice)
        elif self._full and not full:
            logger.warning("Redis is %.0f %% full: pages and start URLs are taken again", used * 100)
        if full != self._full:
            self._full = full
            self._hold_back(full)

    def _say_once(self, error: Exception) -> None:
        """Whoever exchanges says that Redis is away; this is for what only the mover sees."""
        if (said := type(error).__name__) != self._said:
            self._said = said
            logger.info("Deep queues stay where they are for now: %s", error)

    async def _carry_out(self, plan: Plan, *, is_tight: bool) -> float:
        """What hosts wait for goes first, unless there is no room. Returns how many seconds to wait."""
        steps = (self._spill, self._fetch) if is_tight else (self._fetch, self._spill)
        for step in steps:
            await step(plan)
        if plan.stale:
            await self._store.delete(plan.shelf, plan.stale)
            await self._deep.forget(plan.stale)
        self._ailing = False
        self._trouble.ended()
        left = plan.over - sum(chunk.length for chunk in plan.spill)
        cut = await self._cutter.step(left) if len(plan.spill) < _MOST else 0
        if len(plan.wanted) == _MOST or (left > 0 and plan.spill) or cut:
            return 0
        if left > 0 and self._cutter.searches:
            return _SEARCH_S
        return _PAUSE_S if plan.out else _REST_S

    async def _spill(self, plan: Plan) -> None:
        """Writes chunks to MongoDB, some megabytes at a time, and has Redis drop those that are there."""
        parts: list[Any] = []
        whole: list[Closed] = []
        size = 0
        for chunk in plan.spill:
            first = 0
            async for elements in self._deep.elements(chunk):
                parts.append(part_of(plan.shelf, self._crawl, chunk.name, first, elements))
                first += len(elements)
                size += len(parts[-1]["elements"])
                if size >= MAX_BYTES:
                    await self._store.write(parts)
                    await self._drop(whole)
                    parts, whole, size = [], [], 0
            if first == chunk.length:
                whole.append(chunk)
        if parts:
            await self._store.write(parts)
        await self._drop(whole)

    async def _drop(self, whole: list[Closed]) -> None:
        if whole:
            await self._deep.spilled(whole)

    async def _fetch(self, plan: Plan) -> None:
        for chunk in plan.wanted:
            there = chunk.there
            async for elements in self._store.read(plan.shelf, chunk.name, there):
                there = await self._deep.fetched(chunk, there, elements)
            if there < chunk.length:
                await self._deep.fetched(chunk, there, [])
                self._miss(chunk, chunk.length - there)

    def _miss(self, chunk: Wanted, number: int) -> None:
        if chunk.name not in self._missing:
            self._missing.add(chunk.name)
            logger.error(
                "%s waits: %d of its requests, %s, should be in MongoDB's %s and are not. Do MONGO_URI and"
                " MONGO_DATABASE say the same for all workers?",
                *(chunk.host, number, chunk.name, self._store.name),
            )


class _Cutter:
    """Makes chunks of queues that are too short to be deep, or were long before there were chunks.

    After a round over all hosts that found nothing it takes shorter ones.
    """

    def __init__(self, deep: Deep, chunk: int) -> None:
        self._deep = deep
        self._keep = self._most_kept = max(chunk, _LEAST_KEPT)
        self._cursor = self._made = 0

    @property
    def searches(self) -> bool:
        """Shorter queues are to be looked for than until now."""
        return self._keep > _LEAST_KEPT

    async def step(self, left: int) -> int:
        """Looks at some hosts if `left` requests are above the limit. Returns how many chunks it made."""
        if left <= 0:
            self._keep = self._most_kept
            return 0
        self._cursor, made = await self._deep.cut(self._cursor, self._keep)
        self._made += made
        if self._cursor == 0:
            self._keep = self._keep if self._made else max(self._keep // 2, _LEAST_KEPT)
            self._made = 0
        return made
