"""What MongoDB remembers of each crawl's run, so that a Redis that lost it all doesn't pass for a new one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.errors import PyMongoError
from redis.exceptions import RedisClusterException, RedisError

from crawlers.frontier.operations import Crawl
from crawlers.mongo import BadMongoSetting

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection

    from crawlers.mongo import MongoConfig

logger = logging.getLogger(__name__)

RUNS_COLLECTION = "frontier_runs"
"""In MONGO_DATABASE, beside the items: one document a crawl."""

_PAUSE_S = 10.0  # between two writes; a run is remembered as it was so long ago at most
_ANSWER_S = 5.0  # nobody waits longer for a memory


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a crawl at one moment; all zero for a crawl that never was. `born` tells frontiers apart."""

    born: int = 0
    run: int = 0
    generation: int = 0
    enqueued: int = 0
    done: int = 0
    queued: int = 0
    leased: int = 0
    dead: int = 0
    finished: int = 0

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Run:
        """The run in `found`, a document or the counters in Redis; what is no number there is 0."""
        values = {field.name: found.get(field.name) for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if isinstance(value, int)})

    @property
    def text(self) -> str:
        """For a sentence: the run and how far it was."""
        return f"run {self.run} with {self.enqueued:,} requests of which {self.done:,} were done"

    def lost_by(self, now: Run) -> str:
        """What `now`, which Redis has, lacks of this run that MongoDB remembers; "" for nothing."""
        if self.finished or not self.enqueued:
            return ""
        if now.born != self.born or (now.run, now.generation) < (self.run, self.generation):
            return f"MongoDB remembers {self.text}; this Redis knows nothing of them"
        same = (now.run, now.generation) == (self.run, self.generation)
        if same and (now.enqueued < self.enqueued or now.done < self.done):
            return f"MongoDB remembers {self.text}; this Redis went back to {now.text}"
        return ""


class RunStore:
    """The runs in one database. It connects when it is first used; all but `aclose` raise pymongo's errors,
    and BadMongoSetting.
    """

    def __init__(self, config: MongoConfig) -> None:
        self._config = config
        self._connected: AsyncCollection[dict[str, Any]] | None = None

    @property
    def _collection(self) -> AsyncCollection[dict[str, Any]]:
        if self._connected is None:
            self._connected = self._config.connect().get_collection(RUNS_COLLECTION)
        return self._connected

    async def read(self, crawl: str) -> Run:
        """What is remembered of `crawl`."""
        with pymongo.timeout(_ANSWER_S):
            return Run.of(await self._collection.find_one({"_id": crawl}) or {})

    async def unfinished(self) -> list[str]:
        """Some crawls whose runs had not finished."""
        with pymongo.timeout(_ANSWER_S):
            found = self._collection.find({"finished": 0, "enqueued": {"$gt": 0}}, {"_id": 1}).limit(20)
            return [document["_id"] async for document in found if isinstance(document["_id"], str)]

    async def write(self, crawl: str, run: Run) -> None:
        """Remembers `run`, and when by MongoDB's clock."""
        change = {"$set": asdict(run), "$currentDate": {"when": True}}
        with pymongo.timeout(_ANSWER_S):
            await self._collection.update_one({"_id": crawl}, change, upsert=True)

    async def forget(self, crawl: str) -> None:
        """Remembers nothing of `crawl` any more."""
        with pymongo.timeout(_ANSWER_S):
            await self._collection.delete_one({"_id": crawl})

    async def aclose(self) -> None:
        """Disconnects."""
        if self._connected is not None:
            await self._connected.database.client.close()


class Remembrance:
    """A worker's part in it: it says what Redis lacks, and writes while `writes()`, where it is the mover.

    `flushed`: the operator wants what was before to be gone, and hears nothing of it.
    """

    def __init__(
        self, client: Any, crawl: str, store: RunStore, writes: Callable[[], bool], *, flushed: bool
    ) -> None:
        self._client = client
        self._crawl = crawl
        self._store = store
        self._writes = writes
        self._is_told = flushed
        self._known: int | None = None  # the frontier that was held against what is remembered
        self._written = Run()

    async def run(self) -> None:
        """Until it is cancelled. Nothing that Redis or MongoDB do ends it."""
        while True:
            await self.step()
            await asyncio.sleep(_PAUSE_S)

    async def end(self) -> None:
        """The last numbers, where MongoDB answered before."""
        if self._known is not None:
            await self.step(last=True)

    async def step(self, *, last: bool = False) -> None:
        """Compares a frontier that is new to this worker, and writes what has changed."""
        try:
            now = Run.of(await Crawl(self._client, self._crawl).meta())
            if not now.run:
                return  # Redis has nothing: what is remembered stays
            if now.born != self._known:
                self._compare(await self._store.read(self._crawl), now)
                self._known = now.born
            if (last or self._writes()) and now != self._written:
                await self._store.write(self._crawl, now)
                self._written = now
        except (PyMongoError, BadMongoSetting, RedisError, RedisClusterException, OSError) as error:
            logger.debug("The run's numbers don't reach MongoDB for now: %s", error)

    def _compare(self, remembered: Run, now: Run) -> None:
        lost = remembered.lost_by(now)
        if lost and not self._is_told:
            begins = "from its start requests" if now.born != remembered.born else "from there"
            logger.critical(
                "Of the crawl %r %s: it was emptied, restored from an older copy, or is another. The crawl"
                " goes on %s; what is in MongoDB stays. What was pushed must be pushed again",
                *(self._crawl, lost, begins),
            )
        self._is_told = False
