"""Puts requests, dead letters and fingerprints into a crawl that come from elsewhere, many at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from crawlers.frontier.scripts import Script

from .crawl import Crawl, Letter, Queued

_RESTORE = Script("operations/restore")
_MOST_ENTRIES, _MOST_BYTES = 200, 1_000_000  # in one step


@dataclass(slots=True)
class Restored:
    """How much was put in. Of the fingerprints only those count that were new."""

    queued: int = 0
    dead: int = 0
    seen: int = 0


@dataclass(slots=True)
class Restorer:
    """Gathers what is to be put into `crawl`, and puts it in whenever there is enough. End with `flush`.

    `run` is that of a crawl which is new in Redis; `scrapy_redis`: fingerprints are scrapy-redis' own;
    `seen_small`: they are of the small form. What `restored` says is in Redis.
    """

    crawl: Crawl
    run: int = 0
    scrapy_redis: bool = False
    seen_small: bool = False
    restored: Restored = field(default_factory=Restored)
    _queued: list[Queued] = field(default_factory=list)
    _dead: list[Letter] = field(default_factory=list)
    _seen: list[int] = field(default_factory=list)
    _bytes: int = 0

    async def queue(self, request: Queued) -> None:
        """Adds a request to the end of its queue, whether its URL was seen or not."""
        self._queued.append(request)
        await self._grow(len(request.payload))

    async def bury(self, letter: Letter) -> None:
        """Adds a dead letter, under its id where that is free and the newest."""
        self._dead.append(letter)
        await self._grow(len(letter.payload))

    async def see(self, fingerprints: list[int]) -> None:
        """Adds to the seen set."""
        for fingerprint in fingerprints:
            self._seen.append(fingerprint)
            await self._grow(8)

    async def count(self, done: int, dropped: int) -> None:
        """Adds to the crawl's counters of pages done and links dropped."""
        await self._restore(done, dropped)

    async def flush(self) -> None:
        """Puts in what has gathered."""
        await self._restore(0, 0)

    async def _grow(self, size: int) -> None:
        self._bytes += size
        entries = len(self._queued) + len(self._dead) + len(self._seen)
        if entries >= _MOST_ENTRIES or self._bytes >= _MOST_BYTES:
            await self.flush()

    async def _restore(self, done: int, dropped: int) -> None:
        new = await self.crawl.run(
            _RESTORE,
            {
                "queued": [(r.host, r.priority, r.attempts, r.payload) for r in self._queued],
                "dead": [(d.host, d.priority, d.attempts, d.payload, d.reason, d.id) for d in self._dead],
                "seen": [str(fingerprint) for fingerprint in self._seen],
                "scrapy_redis": self.scrapy_redis,
                "seen_small": self.seen_small,
                "run": self.run,
                "done": done,
                "dropped": dropped,
            },
        )
        self.restored.queued += len(self._queued)
        self.restored.dead += len(self._dead)
        self.restored.seen += new
        self._queued, self._dead, self._seen, self._bytes = [], [], [], 0
