"""Moves a crawl of scrapy-redis, key by key."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from redis.exceptions import WatchError

from crawlers.frontier import MOST_PRIORITY, Client
from crawlers.frontier.operations import BadRequest, Crawl, Restorer
from crawlers.scheduler.requests import fingerprint_of

from .pickles import RefusedPickle
from .requests import queued_of

_STEP = 200  # requests or fingerprints moved at once

# Takes pickles, each with its priority or None for its own, and returns those that it refuses.
Take = Callable[[Sequence[tuple[bytes, int | None]]], Awaitable[list[bytes]]]


@dataclass(slots=True)
class Moved:
    """What was moved, and why the rest was not."""

    requests: int = 0
    seen: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class StockCrawl:
    """A crawl of scrapy-redis: its keys, and whether its queue, where it is a list, gives the newest first.

    `max_bytes` and `classes` are those of requests that may be queued.
    """

    client: Client
    requests: str
    dupefilter: str
    newest_first: bool
    max_bytes: int
    classes: tuple[str, ...] = ()

    async def move(self, crawl: Crawl) -> Moved:
        """Moves it into `crawl`, what was seen first. What is refused stays where it is.

        The set of seen URLs stays too, so that this can be done again after an interruption. Raises
        :class:`BadRequest` where the keys hold something else, or its own workers still run.
        """
        kind = await self._kind(self.requests, "requests", {"zset", "list", "none"})
        seen = await self._kind(self.dupefilter, "seen URLs", {"set", "none"})
        if kind == seen == "none":
            raise BadRequest(f"this Redis has neither a key {self.requests!r} nor {self.dupefilter!r}")
        moved, restorer = Moved(), Restorer(crawl, scrapy_redis=True)
        await self._move_seen(restorer, moved)

        async def take(some: Sequence[tuple[bytes, int | None]]) -> list[bytes]:
            return await self._take(restorer, moved, some)

        await (self._empty_list(take) if kind == "list" else self._empty_sorted_set(take))
        moved.requests, moved.seen = restorer.restored.queued, restorer.restored.seen
        return moved

    async def _kind(self, key: str, what: str, kinds: set[str]) -> str:
        kind: str = (await cast(Any, self.client.type(key))).decode()
        if kind not in kinds:
            raise BadRequest(f"the key {key!r} holds a {kind}, which can't be scrapy-redis' {what}")
        return kind

    async def _move_seen(self, restorer: Restorer, moved: Moved) -> None:
        async for member in self.client.sscan_iter(self.dupefilter, count=_STEP):
            if re.fullmatch(rb"[0-9a-f]{40}", member):
                await restorer.see([fingerprint_of(bytes.fromhex(member.decode()))])
            else:
                moved.refused["a seen URL is no digest of scrapy-redis"] += 1
        await restorer.flush()

    async def _take(
        self, restorer: Restorer, moved: Moved, some: Sequence[tuple[bytes, int | None]]
    ) -> list[bytes]:
        """Into the frontier first, out of the old queue by who calls: so nothing is lost between."""
        refused = []
        for pickled, priority in some:
            try:
                await restorer.queue(queued_of(pickled, self.max_bytes, priority, self.classes))
            except RefusedPickle as error:
                moved.refused[str(error)] += 1
                refused.append(pickled)
        await restorer.flush()
        return refused

    async def _empty_sorted_set(self, take: Take) -> None:
        """From the lowest score, which is the highest priority."""
        passed = 0
        while pairs := await self._lowest(passed):
            refused = set(await take([(pickled, _priority_of(score)) for pickled, score in pairs]))
            if gone := [pickled for pickled, _ in pairs if pickled not in refused]:
                await self.client.zrem(self.requests, *gone)
            passed += len(refused)

    async def _lowest(self, passed: int) -> list[tuple[bytes, float]]:
        ends = (passed, passed + _STEP - 1)
        pairs: list[tuple[bytes, float]] = await cast(
            Any, self.client.zrange(self.requests, *ends, withscores=True)
        )
        return pairs

    async def _empty_list(self, take: Take) -> None:
        """From the end from which its workers took. What is refused goes to the other."""
        left = await cast(Any, self.client.llen(self.requests))
        while left > 0:
            async with self.client.pipeline(transaction=True) as pipe:
                await pipe.watch(self.requests)
                ends = (0, _STEP - 1) if self.newest_first else (-_STEP, -1)
                some = await cast(Any, pipe.lrange(self.requests, *ends))
                rest = (len(some), -1) if self.newest_first else (0, -len(some) - 1)
                refused = await take([(p, None) for p in (some if self.newest_first else reversed(some))])
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.ltrim(self.requests, *rest)
                if refused:
                    (pipe.rpush if self.newest_first else pipe.lpush)(self.requests, *refused)
                try:
                    await pipe.execute()
                except WatchError:
                    raise BadRequest(
                        f"something else changes {self.requests!r}: stop the old crawl's workers first"
                    ) from None
            left -= _STEP


def _priority_of(score: float) -> int:
    return round(max(-MOST_PRIORITY, min(-score, MOST_PRIORITY)))
