"""Chunks of queues in MongoDB: written once, under names that are never used again, and then deleted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgpack
import pymongo
from bson.binary import Binary
from pymongo import WriteConcern
from pymongo.errors import PyMongoError

from crawlers.mongo.pace import SLOWEST_BYTES_PER_S, Pace, is_time_out

from .letterstore import LetterStore
from .runs import RunStore

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.cursor import AsyncCursor

    from crawlers.mongo import MongoConfig

COLLECTION = "frontier_chunks"
"""In MONGO_DATABASE, beside the items."""

MAX_BYTES = 4_000_000
"""Of requests in one write; a document is limited to 16 MB, and holds a megabyte or one larger request."""

_LARGEST_BYTES = 16 * 1024 * 1024  # of a document

Document = dict[str, Any]


def part_of(shelf: str, crawl: str, name: str, first: int, elements: Sequence[bytes]) -> Document:
    """The document for some requests of the chunk `name`, of which `first` come before them."""
    packed = Binary(msgpack.packb(list(elements)))
    return {"_id": f"{shelf} {name} {first:012d}", "crawl": crawl, "elements": packed}


class ChunkStore:
    """The chunks in one database. It connects when it is first used; all but `aclose` raise pymongo's errors,
    and BadMongoSetting.

    They are written with majority and journal whatever MONGO_WRITE_CONCERN says of items, for a document that
    MongoDB rolls back would be a part of a queue.
    """

    def __init__(self, config: MongoConfig) -> None:
        self._config = config
        self.letters = LetterStore(config)
        self.runs = RunStore(config)
        self._connected: AsyncCollection[Document] | None = None
        self._pace = Pace(self.name, config.timeout_s, MAX_BYTES)
        self._read_s = config.timeout_s

    @property
    def name(self) -> str:
        """Where they are, for messages."""
        return f"{self._config.database}.{COLLECTION}"

    @property
    def _collection(self) -> AsyncCollection[Document]:
        if self._connected is None:
            concern = WriteConcern(w="majority", j=True)
            self._connected = self._config.connect().get_collection(COLLECTION, write_concern=concern)
        return self._connected

    async def answers(self) -> None:
        """Returns if MongoDB has a primary."""
        await self._collection.database.command("ping")

    async def write(self, parts: list[Document]) -> None:
        """Returns when MongoDB has `parts` on the disks of a majority.

        After a time-out the next call sends less at once, or gives a single one more time.
        """
        rest: Sequence[_Part] = [_Part(part) for part in parts]
        while rest:
            some, rest = self._pace.split(rest)
            began_s = time.monotonic()
            try:
                with self._pace.limit(some):
                    await self._collection.insert_many([part.document for part in some], ordered=False)
            except PyMongoError as error:
                if is_time_out(error):
                    self._pace.timed_out(some)
                raise
            self._pace.went(some, time.monotonic() - began_s)

    async def read(self, shelf: str, name: str, there: int = 0) -> AsyncIterator[list[bytes]]:
        """The requests of a chunk behind its first `there`, some at a time, up to one that is missing."""
        found = self._collection.find(_parts(shelf, name)).sort("_id").batch_size(1)
        while part := await self._next(found):
            first = int(part["_id"].rpartition(" ")[2])
            elements: list[bytes] = msgpack.unpackb(part["elements"])
            if first > there:
                return
            if some := elements[there - first :]:
                yield some
                there += len(some)

    async def urls(self) -> AsyncIterator[str]:
        """The field `url` of all documents of the database that have one."""
        database = self._collection.database
        for name in await database.list_collection_names():
            async for document in database[name].find({"url": {"$type": "string"}}, {"url": 1, "_id": 0}):
                yield document["url"]

    async def _next(self, found: AsyncCursor[Document]) -> Document | None:
        """One part at a time; after a time-out the next gets twice as long."""
        try:
            with pymongo.timeout(self._read_s):
                return await anext(found, None)
        except PyMongoError as error:
            if is_time_out(error):
                self._read_s = min(2 * self._read_s, _LARGEST_BYTES / SLOWEST_BYTES_PER_S)
            raise

    async def delete(self, shelf: str, names: Iterable[str]) -> None:
        """Deletes what is there of these chunks."""
        await self._collection.delete_many({"$or": [_parts(shelf, name) for name in names]})

    async def aclose(self) -> None:
        """Disconnects."""
        await self.letters.aclose()
        await self.runs.aclose()
        if self._connected is not None:
            await self._connected.database.client.close()


class _Part:
    """A document to be written, and its size."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.size = len(document["elements"])


def _parts(shelf: str, name: str) -> Document:
    return {"_id": {"$gt": f"{shelf} {name} ", "$lt": f"{shelf} {name}!"}}
