"""Dead letters in MongoDB, each under the name of its crawl's run and its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bson.binary import Binary
from pymongo import ReplaceOne, WriteConcern

from crawlers.frontier.operations.crawl import Letter

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection

    from crawlers.mongo import MongoConfig

DEAD_COLLECTION = "frontier_dead"
"""In MONGO_DATABASE, beside the items."""

Document = dict[str, Any]


class LetterStore:
    """The dead letters in one database. It connects when it is first used; all but `aclose` raise pymongo's
    errors, and BadMongoSetting. A `shelf` names one run of one crawl.
    """

    def __init__(self, config: MongoConfig) -> None:
        self._config = config
        self._connected: AsyncCollection[Document] | None = None

    @property
    def name(self) -> str:
        """Where they are, for messages."""
        return f"{self._config.database}.{DEAD_COLLECTION}"

    @property
    def _collection(self) -> AsyncCollection[Document]:
        if self._connected is None:
            concern = WriteConcern(w="majority", j=True)
            self._connected = self._config.connect().get_collection(DEAD_COLLECTION, write_concern=concern)
        return self._connected

    async def write(self, shelf: str, crawl: str, letters: Sequence[Letter]) -> None:
        """Returns when a majority has them on its disks. Written twice they are there once."""
        documents = [_document(shelf, crawl, letter) for letter in letters]
        await self._collection.bulk_write([ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in documents])

    async def read(
        self, shelf: str, *, newest_first: bool = False, most: int = 100
    ) -> AsyncIterator[list[Letter]]:
        """All of a run, some at a time."""
        some: list[Letter] = []
        order = -1 if newest_first else 1
        found = self._collection.find({"_id": {"$gt": f"{shelf} ", "$lt": f"{shelf}!"}}).sort("_id", order)
        async for document in found:
            some.append(_letter(document))
            if len(some) == most:
                yield some
                some = []
        if some:
            yield some

    async def delete(self, shelf: str, ids: Iterable[str]) -> None:
        """Deletes these."""
        await self._collection.delete_many({"_id": {"$in": [_name(shelf, id_) for id_ in ids]}})

    async def delete_earlier(self, shelf: str) -> None:
        """Deletes those of the crawl's other runs, which are over."""
        first = shelf.partition(".")[0]
        those = [
            {"_id": {"$gt": f"{first}.", "$lt": f"{shelf} "}},
            {"_id": {"$gt": f"{shelf}!", "$lt": f"{first}/"}},
        ]
        await self._collection.delete_many({"$or": those})

    async def aclose(self) -> None:
        """Disconnects."""
        if self._connected is not None:
            await self._connected.database.client.close()


def _name(shelf: str, id_: str) -> str:
    ms, _, number = id_.partition("-")
    return f"{shelf} {ms:0>15}-{number:0>20}"


def _document(shelf: str, crawl: str, letter: Letter) -> Document:
    return {
        "_id": _name(shelf, letter.id),
        "crawl": crawl,
        "id": letter.id,
        "host": letter.host,
        "url": letter.url,
        "priority": letter.priority,
        "attempts": letter.attempts,
        "reason": letter.reason,
        "payload": Binary(letter.payload),
    }


def _letter(document: Document) -> Letter:
    host, priority, attempts = document["host"], document["priority"], document["attempts"]
    return Letter(host, priority, attempts, bytes(document["payload"]), document["id"], document["reason"])
