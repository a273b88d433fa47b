"""One bulk write at a time to a collection; while it is under way the next one's documents gather.

So a batch is as large as the load makes it, nothing needs tuning, and a lone document waits for
nobody.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from bson.errors import BSONError
from pymongo.errors import BulkWriteError, InvalidName, PyMongoError

from .documents import Document, check_name, encode
from .errors import Refused, Trouble, first_words, is_passing, is_poisoned, only_races
from .pace import Pace, is_time_out
from .start import until_mongo_answers

if TYPE_CHECKING:
    from pymongo import UpdateOne
    from pymongo.asynchronous.collection import AsyncCollection

    from .config import MongoConfig

MAX_BATCH = 1000
"""Documents in one bulk write; more add nothing to the throughput."""

MAX_BATCH_BYTES = 16 * 1024 * 1024
"""Encoded documents in one bulk write, fewer where the line is slow; a single larger one goes alone."""

BACKOFF_S = (0.05, 5.0)
"""The wait after the first failed attempt and the longest; it doubles in between."""

# Workers that store a new document at the same moment collide; what persists is worth a word.
_RACES_BEFORE_LOG = 5


@dataclass(slots=True)
class _Write:
    """A document under way: what MongoDB is to do, its encoded bytes, and who waits for it."""

    operation: UpdateOne
    size: int
    done: asyncio.Future[None]

    def settle(self, error: Exception | None = None) -> None:
        """Tell the caller, unless it was cancelled meanwhile."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class Writer:
    """Stores documents in one database.

    Memory: what its callers wait for, encoded; nothing is kept for those who do not wait.
    `count(name, n)` is told of `batches` sent and of `retries` of documents.
    """

    def __init__(
        self, config: MongoConfig, count: Callable[[str, int], None] = lambda _name, _n: None
    ) -> None:
        """Raises :class:`BadMongoSetting`; connects when the first document comes."""
        self._database = config.connect()
        self._timeout_s, self._patience_s = config.timeout_s, config.patience_s
        self._count = count
        self._lanes: dict[str, _Lane] = {}

    async def write(self, collection: str, document: Document) -> None:
        """Store `document`, which has an `_id`; return when MongoDB has acknowledged it.

        A document with this `_id` gets these fields; its others stay. `first_seen` and `last_seen`
        are added. Waits as long as MongoDB takes no writes. Raises :class:`Refused` where it will
        never take this one.
        """
        lane = self._lanes.get(collection)
        if lane is None:
            check_name(collection)
            try:
                lane = _Lane(self._database[collection], self._timeout_s, self._count)
            except InvalidName as error:
                raise Refused(f"MongoDB has no such collection: {error}") from None
            self._lanes[collection] = lane
        await lane.write(document)

    async def connect(self) -> None:
        """Wait until MongoDB answers. Raises :class:`MongoUnreachable` after the patience."""
        await until_mongo_answers(self._database, self._patience_s, self._timeout_s)

    async def close(self) -> None:
        """Wait until all that was written is stored or refused, then disconnect."""
        while under_way := [lane.task for lane in self._lanes.values() if lane.task]:
            await asyncio.wait(under_way)
        await self._database.client.close()


class _Lane:
    """The way to one collection: one bulk write at a time, the next batch gathers behind it."""

    def __init__(
        self,
        collection: AsyncCollection[dict[str, Any]],
        timeout_s: float,
        count: Callable[[str, int], None],
    ) -> None:
        self.task: asyncio.Task[None] | None = None
        self._collection = collection
        self._count = count
        self._waiting: deque[_Write] = deque()
        self._trouble = Trouble(collection.full_name)
        self._pace = Pace(collection.full_name, timeout_s, MAX_BATCH_BYTES)

    async def write(self, document: Document) -> None:
        """Returns when MongoDB has acknowledged `document`. Raises :class:`Refused` where it never will."""
        operation, size = encode(document)
        write = _Write(operation, size, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        if self.task is None:
            self.task = asyncio.create_task(self._run())
        await write.done

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._store_or_raise(self._next_batch())
        finally:
            self.task = None

    def _next_batch(self) -> list[_Write]:
        batch = [self._waiting.popleft()]
        size = batch[0].size
        while self._waiting and len(batch) < MAX_BATCH:
            size += self._waiting[0].size
            if size > self._pace.bytes:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _store_or_raise(self, batch: Sequence[_Write]) -> None:
        """An error that nobody foresaw reaches the callers instead of leaving them waiting."""
        try:
            await self._store(batch)
        except Exception as error:
            for write in batch:
                write.settle(error)

    async def _store(self, batch: Sequence[_Write]) -> None:
        """Repeat until every document of `batch` is stored or refused."""
        for attempt in count(1):
            batch, error = await self._attempt(batch)
            if error is None or not batch:
                self._trouble.ended()
                return
            if attempt >= _RACES_BEFORE_LOG or not only_races(error):
                self._trouble.began(error)
            self._count("retries", len(batch))
            if is_time_out(error):
                batch = self._less(batch)
            await asyncio.sleep(_backoff_s(attempt))

    async def _attempt(self, batch: Sequence[_Write]) -> tuple[Sequence[_Write], Exception | None]:
        """One bulk write. Returns what is left to store and why."""
        self._count("batches", 1)
        began_s = time.monotonic()
        try:
            with self._pace.limit(batch):
                await self._collection.bulk_write([write.operation for write in batch], ordered=False)
        except BulkWriteError as error:
            return _sort_out(batch, error.details), error
        except PyMongoError as error:
            if not is_poisoned(error):
                return batch, error
            return await self._isolate(batch, error)
        except BSONError as error:
            return await self._isolate(batch, error)
        self._pace.went(batch, time.monotonic() - began_s)
        for write in batch:
            write.settle()
        return (), None

    def _less(self, batch: Sequence[_Write]) -> Sequence[_Write]:
        """What of `batch`, which took too long, is tried next; the rest waits at the front."""
        self._pace.timed_out(batch)
        batch, rest = self._pace.split(batch)
        self._waiting.extendleft(reversed(rest))
        return batch

    async def _isolate(
        self, batch: Sequence[_Write], error: Exception
    ) -> tuple[Sequence[_Write], Exception | None]:
        """MongoDB took nothing of `batch` because of one document: halve it until that is alone."""
        if len(batch) == 1:
            batch[0].settle(Refused(first_words(error)))
            return (), None
        middle = len(batch) // 2
        await self._store(batch[:middle])
        return await self._attempt(batch[middle:])


def _sort_out(batch: Sequence[_Write], details: Document) -> list[_Write]:
    """Settle what was stored or refused of `batch`; return what has to be tried again."""
    failures = {failure["index"]: failure for failure in details["writeErrors"]}
    left = []
    for index, write in enumerate(batch):
        failure = failures.get(index)
        if failure is None and not details["writeConcernErrors"]:
            write.settle()
        elif failure is None or is_passing(failure):
            left.append(write)
        else:
            write.settle(Refused(f"{failure['errmsg'][:300]} (MongoDB's code {failure['code']})"))
    return left


def _backoff_s(attempt: int) -> float:
    """The wait after failed `attempt` (from 1), up to half of it left to chance."""
    first_s, longest_s = BACKOFF_S
    doubled_s: float = first_s * 2 ** min(attempt - 1, 16)
    return min(longest_s, doubled_s) * random.uniform(0.5, 1)
