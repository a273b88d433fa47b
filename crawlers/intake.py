"""ROOM 1: start URLs that people push to Redis, into the frontier.

Entries are claimed, made into requests, and released once these are in the frontier: an entry is always
in the list, claimed, or queued. One that is no good becomes a dead letter with the reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Protocol

from redis.exceptions import RedisClusterException, RedisError
from scrapy import Request, Spider
from scrapy.utils.httpobj import urlparse_cached

from crawlers.frontier import BadStartUrls, Claims, Counts, Frontier, Refused, length_when_cut, score_of
from crawlers.messages import BadEntry, reads_utf8, request_of
from crawlers.pushed import is_own
from crawlers.redis_spiders import as_requests, own_maker, own_reading, stop_reading_when_idle
from crawlers.retrying import RedisUnreachable, until_redis_answers

if TYPE_CHECKING:
    from scrapy.core.engine import ExecutionEngine

logger = logging.getLogger(__name__)

_MOST_CLAIMED = 200  # entries at a time; making requests of them holds the reactor up for some 10 ms
_MOST_PREVIEW = 500  # bytes of a bad entry that its dead letter shows


class Worker(Protocol):
    """What the intake needs of the worker that it feeds."""

    counts: Counts  # of the crawl, by the last exchange
    takes_start_urls: bool  # False before the first exchange, and once the crawl is sealed

    @property
    def poll_s(self) -> float:
        """How often to look where nothing was found."""

    def refuse(self, refused: Refused) -> None:
        """Sets an entry aside, among the dead letters."""

    def open_inside(self, host: str) -> None:
        """A start has this host, so that requests may go there though it is inside."""

    async def flushed(self) -> None:
        """Returns when all that was found or refused until now is in the frontier."""


class Plain(Protocol):
    """Who takes plain URLs by a shorter way than a request for each."""

    def open(self) -> bool:
        """Whether any may be taken now."""

    def take(self, entry: bytes) -> bool:
        """Takes one in UTF-8, if it can."""


class Intake:
    """Reads the lists `keys` for as long as the worker lives.

    `hold_ms`: entries claimed by a worker that dies are handed out again after this long. `max_bytes` of
    one entry. `plain` is asked first, unless the spider makes its requests by itself. `pushed_meta`: keys of
    a message's meta that may steer the crawler.
    """

    def __init__(
        self,
        spider: Spider,
        frontier: Frontier,
        worker: Worker,
        *,
        keys: tuple[str, ...],
        hold_ms: int,
        max_bytes: int,
        plain: Plain | None = None,
        pushed_meta: Collection[str] = (),
        stock_messages: bool = False,
    ) -> None:
        self._spider = spider
        self._frontier = frontier
        self._worker = worker
        self._keys = keys
        self._hold_ms = hold_ms
        self._max_bytes = max_bytes
        self.doubt()
        self._complained: set[str] = set()
        self._own = own_reading(spider)
        own = own_maker(spider, self._own)
        self._make = own or (lambda entry: request_of(entry, spider, pushed_meta, stock=stock_messages))
        self._plain = plain if own is None and reads_utf8(spider) else None
        stop_reading_when_idle(spider)

    @property
    def empty(self) -> bool:
        """Nothing waited in the lists, nor was claimed by any worker, when they were last read."""
        return not any(self._left.values())

    def doubt(self) -> None:
        """Redis was away, and may be back with entries that were claimed: the lists have to be read again
        before they are known to be empty.
        """
        self._left = dict.fromkeys(self._keys, 1)

    async def run(self) -> None:
        """Reads the lists again and again, at once while there is more, else as often as the fleet polls.

        A sealed crawl leaves them alone.
        """
        logger.info("Reading start URLs from %s", ", ".join(self._keys))
        while True:
            takes = self._worker.takes_start_urls
            own = self._own
            claimed = [key for key in self._keys if own is None or own.claims or own.key != key]
            taken = [await self._take(key) for key in claimed if takes]
            if takes and not any(taken):
                taken = [await self._take_own()]
            if not any(taken):
                await asyncio.sleep(self._worker.poll_s)

    async def _take(self, key: str) -> int:
        """Moves some entries of `key` into the frontier. Returns how many."""
        try:
            claimed: Claims = await until_redis_answers(lambda: self._claim(key))
        except BadStartUrls as error:
            self._left[key] = 0
            self._complain(key, str(error))
            return 0
        for kind, held, name in claimed.aside:
            logger.error("The key %r held a %s, which is now under %r", held, kind, name)
        number = len(claimed.entries)
        if number:
            self._crawl_all(key, claimed.entries)
            await self._worker.flushed()
        released = await self._release(key, claimed.claims) if number else 0
        self._left[key] = claimed.left - released
        return number

    async def _take_own(self) -> int:
        """Has the spider read by itself what it reads so, once nothing else is queued. Returns how many."""
        if self._own is None or self._worker.counts.queued:
            return 0
        key = self._own.key
        try:
            more = await self._own.more()
        except Exception as error:  # the spider's own methods: whatever they raise
            self._complain(key, f"The spider can't read {key}: {type(error).__name__}: {error}")
            return 0
        for one in more:
            if isinstance(one, Request):
                self._start(one)
            else:
                self._crawl(key, one)
        if more:
            await self._worker.flushed()
        if not self._own.claims:
            self._left[key] = len(more)
        return len(more)

    def _complain(self, key: str, text: str) -> None:
        if key not in self._complained:
            self._complained.add(key)
            logger.error("%s", text)

    async def _claim(self, key: str) -> Claims:
        try:
            return await self._frontier.claim(key, _MOST_CLAIMED, self._hold_ms, self._max_bytes)
        except (RedisError, RedisClusterException, OSError):
            self.doubt()
            raise

    async def _release(self, key: str, claims: list[bytes]) -> int:
        """Tried once: a Redis that was away may be back without what has just been queued. Its claims are
        handed out again then. Returns how many were released.
        """
        try:
            await until_redis_answers(lambda: self._frontier.release(key, claims), patience_s=0)
        except RedisUnreachable as error:
            logger.info("%s. %d entries of %s will be read again", error, len(claims), key)
            return 0
        return len(claims)

    def _crawl_all(self, key: str, entries: Iterable[bytes]) -> None:
        plain = self._plain if self._plain and self._plain.open() else None
        for entry in entries:
            if not (plain and plain.take(entry)):
                self._crawl(key, entry)

    def _crawl(self, key: str, entry: bytes) -> None:
        score, entry = score_of(entry)
        try:
            for request in self._requests_of(entry):
                self._start(request.replace(priority=score) if score and not request.priority else request)
        except BadEntry as error:
            self._refuse(key, entry, str(error))
        except Exception as error:  # the spider's own method: whatever it raises
            maker = self._own.maker if self._own else "make_request_from_data"
            self._refuse(key, entry, f"{maker}: {type(error).__name__}: {error}")

    def _start(self, request: Request) -> None:
        for name in [name for name in request.meta if is_own(name)]:  # copied by the spider's own method
            del request.meta[name]
        self._worker.open_inside(urlparse_cached(request).hostname or "")
        self._engine.crawl(request)

    @property
    def _engine(self) -> ExecutionEngine:
        engine = self._spider.crawler.engine
        assert engine is not None
        return engine

    def _requests_of(self, entry: bytes) -> list[Request]:
        if cut := length_when_cut(entry):
            raise BadEntry(f"it is {cut[0]:,} bytes long, {self._max_bytes:,} are allowed")
        return as_requests(self._make(entry))

    def _refuse(self, key: str, entry: bytes, reason: str) -> None:
        shown = cut[1] if (cut := length_when_cut(entry)) else entry
        self._worker.refuse(Refused(key, shown[:_MOST_PREVIEW], reason))
