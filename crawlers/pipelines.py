"""Items on their way to MongoDB: checked, then stored. What can't be stored is set aside.

An item is through when MongoDB has acknowledged it, so that no page counts as done whose items
could still be lost.
"""

from __future__ import annotations

import logging
from reprlib import Repr
from typing import TYPE_CHECKING, Any, NoReturn

from itemadapter import ItemAdapter
from scrapy.exceptions import DropItem

from .deep.store import COLLECTION
from .items import BadItem, collection_of, digest, document_of, validate
from .mongo import BadMongoSetting, MongoConfig, Refused, Writer

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

REFUSED = "refused"
"""The collection of what could not be stored: why, and what it looked like."""

MAX_PREVIEW_BYTES = 4096
"""How much of a refused item is kept; enough to recognise it."""

MAX_TEXT_BYTES = 2048
"""How much of a refused item's URL and of the reason is kept."""

_OWN = {REFUSED, COLLECTION}

# Abridges long values before it spells them out.
_preview = Repr()
_preview.maxdict = _preview.maxlist = 50
_preview.maxstring = _preview.maxother = 1000


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

    Stats: `mongo/stored` and `mongo/refused` items, `mongo/batches` sent, and `mongo/retries`, the
    documents that were sent once more.
    """

    def __init__(self, crawler: Crawler) -> None:
        """Raises :class:`BadMongoSetting`; connects when the first item comes."""
        self._crawler = crawler
        self._writer = Writer(MongoConfig.of(crawler.settings), self._count)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> MongoPipeline:
        """Scrapy's way to make one; ends the process with one sentence where a setting is wrong."""
        try:
            return cls(crawler)
        except BadMongoSetting as error:
            logger.critical("%s", error)
            raise SystemExit(1) from None

    async def close_spider(self) -> None:
        """Wait for what is under way, then disconnect."""
        await self._writer.close()

    async def process_item(self, item: Any) -> Any:
        """The item as it came, once MongoDB has it. Raises DropItem where it is set aside."""
        try:
            document = document_of(item)
            await self._writer.write(_collection_of(item), document)
        except (BadItem, Refused) as error:
            await self.set_aside(item, str(error))
        self._count("stored", 1)
        return item

    async def set_aside(self, item: Any, reason: str) -> NoReturn:
        """Keep a description of `item` among the refused, then drop it: raises DropItem."""
        name = type(item).__name__
        try:
            await self._writer.write(REFUSED, _description(item, reason))
        except Refused as error:
            logger.error("What was refused can't be kept in %r either: %s", REFUSED, error)
        self._count("refused", 1)
        logger.warning("Refused a %s, see the collection %r: %s", name, REFUSED, _bounded(reason))
        # Scrapy logs the whole of a dropped item, however large; above is said what matters.
        raise DropItem(_bounded(reason), log_level="DEBUG")

    def _count(self, name: str, n: int) -> None:
        self._crawler.stats.inc_value(f"mongo/{name}", n)


def _collection_of(item: Any) -> str:
    """Where `item` goes. Raises :class:`BadItem` where its class names a collection of our own."""
    if (name := collection_of(item)) in _OWN:
        raise BadItem(
            f"the collection {name!r} is the crawler's own: choose another for {type(item).__name__}"
        )
    return name


def _description(item: Any, reason: str) -> dict[str, str]:
    """A small document about `item`; again is an update of it, where the item is identifiable."""
    fields = dict(ItemAdapter(item)) if ItemAdapter.is_item(item) else {}
    description = {
        "item": type(item).__name__,
        "reason": _bounded(reason),
        "preview": _bounded(_preview.repr(fields or item), MAX_PREVIEW_BYTES),
    }
    if isinstance(url := fields.get("url"), str):
        description["url"] = _bounded(url)
    try:
        known_by = digest(document_of(item)["_id"])
    except (BadItem, TypeError, ValueError, RecursionError):
        known_by = description.get("url", description["preview"])
    return {"_id": digest([description["item"], known_by]), **description}


def _bounded(text: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The beginning of `text`, without what UTF-8 can't hold."""
    start = text[:max_bytes].encode("utf-8", "backslashreplace")
    return start[:max_bytes].decode("utf-8", "ignore")
