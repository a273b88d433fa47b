"""Items on their way to MongoDB: checked, then stored. What can't be stored is set aside, whole.

An item that isn't of the types that its class promises is dropped, as validators do. One that MongoDB can't
take goes on to feeds and extensions, which have less to refuse.

An item is through when MongoDB has acknowledged it, so that no page counts as done whose items
could still be lost.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from scrapy.exceptions import DropItem

from .deep.letterstore import DEAD_COLLECTION
from .deep.runs import RUNS_COLLECTION
from .deep.store import COLLECTION
from .failures import fail
from .items import BadItem, collection_of, document_of, passing_fields, validate
from .mongo import BadMongoSetting, MongoConfig, Refused, Writer
from .mongo.refused import PARTS, REFUSED, bounded, keep

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

_LOOKS = 20  # at items of a class
_OWN = {REFUSED, PARTS, COLLECTION, DEAD_COLLECTION, RUNS_COLLECTION}  # collections


class ValidatePipeline:
    """Sets aside items whose values are not of the types that their classes promise."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ValidatePipeline:
        """Scrapy's way to make one."""
        return cls(crawler)

    async def process_item(self, item: Any) -> Any:
        """The item as it came. Raises DropItem."""
        try:
            validate(item)
        except BadItem as error:
            mongo = self._crawler.get_item_pipeline(MongoPipeline)
            if mongo is None:
                raise DropItem(str(error)) from None
            await mongo.set_aside(item, str(error))
            # Scrapy logs the whole of a dropped item, however large; above is said what matters.
            raise DropItem(bounded(str(error)), log_level="DEBUG") from None
        return item


class MongoPipeline:
    """Stores each item as one document, whose `_id` follows from the item: again is an update.

    | setting | default | meaning |
    | --- | --- | --- |
    | `MONGO_URI` | `mongodb://127.0.0.1:27017` | the server or replica set |
    | `MONGO_DATABASE` | `crawlers` | a database for the items of all spiders |
    | `MONGO_WRITE_CONCERN` | `majority` | which servers must have it: their number, a tag |
    | `MONGO_JOURNAL` | True | whether it must be on their disks |
    | `MONGO_TIMEOUT_S` | 10 | seconds for one attempt; attempts go on until it is stored |
    | `MONGO_PATIENCE_S` | 15 | seconds to wait for MongoDB at start, then the worker ends; 0: one attempt |

    Stats: `mongo/stored` and `mongo/refused` items, `mongo/batches` sent, and `mongo/retries`, the
    documents that were sent once more.
    """

    def __init__(self, crawler: Crawler) -> None:
        """Raises :class:`BadMongoSetting`; connects by :meth:`connect` or when the first item comes."""
        self._crawler = crawler
        self._writer = Writer(MongoConfig.of(crawler.settings), self._count)
        self._looked_at: Counter[type] = Counter()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> MongoPipeline:
        """Scrapy's way to make one; ends the process with one sentence where a setting is wrong."""
        try:
            return cls(crawler)
        except BadMongoSetting as error:
            logger.critical("%s", error)
            raise SystemExit(1) from None

    async def connect(self) -> None:
        """Wait until MongoDB answers: the scheduler does before it joins the crawl.

        Raises :class:`MongoUnreachable` after `MONGO_PATIENCE_S`.
        """
        await self._writer.connect()

    async def close_spider(self) -> None:
        """Wait for what is under way, then disconnect."""
        try:
            await self._writer.close()
        except Exception as error:  # Scrapy logs it, and goes on to an end that looks well
            fail(self._crawler, f"MongoPipeline could not be closed: {type(error).__name__}: {error}")
            raise

    async def process_item(self, item: Any) -> Any:
        """The item as it came, once MongoDB has it, or has it among the refused: feeds have all items."""
        try:
            document = document_of(item)
            await self._writer.write(_collection_of(item), document)
        except (BadItem, Refused) as error:
            await self.set_aside(item, str(error))
            return item
        self._count("stored", 1)
        self._warn_once(item)
        return item

    async def set_aside(self, item: Any, reason: str) -> None:
        """Keep `item` whole among the refused, and say so."""
        kept = {"_id": "nowhere"}
        try:
            kept = await keep(self._writer, item, reason)
        except Refused as error:
            logger.error("What was refused can't be kept in %r either: %s", REFUSED, error)
        self._count("refused", 1)
        logger.warning(
            "Refused a %s, see the collection %r: %s%s; `scrapy refused %s` shows it",
            *(type(item).__name__, REFUSED, bounded(reason)),
            *(f" ({kept['url']!r})" if "url" in kept else "", kept["_id"]),
        )

    def _warn_once(self, item: Any) -> None:
        """Of each class the first items are looked at."""
        if self._looked_at[type(item)] >= _LOOKS:
            return
        self._looked_at[type(item)] += 1
        if names := passing_fields(item):
            self._looked_at[type(item)] = _LOOKS
            logger.warning(
                "%s has no `identity`, and its field %r differs each time that it is made: an item that is"
                " found again, as when its page is tried again, becomes another document. Give the class an"
                " `identity`, the names of the fields that tell its items apart, or the item an `_id`",
                *(type(item).__name__, names[0]),
            )

    def _count(self, name: str, n: int) -> None:
        self._crawler.stats.inc_value(f"mongo/{name}", n)


def _collection_of(item: Any) -> str:
    """Where `item` goes. Raises :class:`BadItem` where its class names a collection of our own."""
    if (name := collection_of(item)) in _OWN:
        raise BadItem(
            f"the collection {name!r} is the crawler's own: choose another for {type(item).__name__}"
        )
    return name
