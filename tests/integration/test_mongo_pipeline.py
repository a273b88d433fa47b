"""Documents reach a real MongoDB whole and once, whatever happens to it or to their neighbours."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import BulkWriteError
from scrapy.settings import Settings

from crawlers.mongo import BadMongoSetting, MongoConfig, Refused, Writer
from crawlers.mongo.errors import is_passing
from deploy.local.servers import MongoServer, mongo_server
from tests.helpers import ROOT, Ended, run_spider

Client = pymongo.MongoClient[dict[str, Any]]

PASSWORD = "p-swordfish"


class Counting(Writer):
    """A writer whose counts can be read."""

    def __init__(self, config: MongoConfig) -> None:
        self.counts: Counter[str] = Counter()
        super().__init__(config, lambda name, n: self.counts.update({name: n}))


@asynccontextmanager
async def writing(uri: str, database: str, **settings: object) -> AsyncIterator[Counting]:
    """A writer for the while."""
    settings = {"MONGO_URI": uri, "MONGO_DATABASE": database, **settings}
    writer = Counting(MongoConfig.of(Settings(settings)))
    try:
        yield writer
    finally:
        await writer.close()


async def until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Let other tasks run until `condition()` is true."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def nested(depth: int) -> Any:
    """Dicts within dicts."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def test_a_document_is_stored_when_its_write_returns(
    mongo_uri: str, database: str, mongo_client: Client
) -> None:
    async def scenario() -> None:
        async with writing(mongo_uri, database) as writer:
            # When a document is written
            await writer.write("things", {"_id": "a", "tags": ["x"], "n": 1})

            # Then it is there, with the moment at which it was first and last seen
            found = mongo_client[database]["things"].find_one({"_id": "a"})
            assert found is not None
            assert found["tags"] == ["x"]
            assert found["first_seen"] == found["last_seen"]

    asyncio.run(scenario())


def test_a_document_written_again_is_updated_and_keeps_when_it_was_first_seen(
    mongo_uri: str, database: str, mongo_client: Client
) -> None:
    async def scenario() -> None:
        async with writing(mongo_uri, database) as writer:
            # Given a document
            await writer.write("things", {"_id": "a", "n": 1, "kept": True})
            (first,) = mongo_client[database]["things"].find()

            # When one with the same _id is written, twice in one batch
            again = [writer.write("things", {"_id": "a", "n": n}) for n in (2, 3)]
            await asyncio.gather(*again)

            # Then there is one, as written last
            (second,) = mongo_client[database]["things"].find()
            assert second == {**first, "n": 3, "last_seen": second["last_seen"]}
            assert second["last_seen"] >= first["last_seen"]

    asyncio.run(scenario())


def test_documents_that_come_during_a_bulk_write_share_the_next(
    mongo_uri: str, database: str, mongo_client: Client
) -> None:
    async def scenario() -> None:
        async with writing(mongo_uri, database) as writer:
            # Given a write that is under way
            first = asyncio.create_task(writer.write("things", {"_id": -1}))
            await until(lambda: writer.counts["batches"] == 1)

            # When 2,500 documents come meanwhile
            await asyncio.gather(*(writer.write("things", {"_id": i}) for i in range(2500)), first)

            # Then they went in three batches, of at most 1,000
            assert writer.counts["batches"] == 4
            assert mongo_client[database]["things"].count_documents({}) == 2501

    asyncio.run(scenario())


def test_large_documents_share_no_batch_of_more_than_16_mb(mongo_uri: str, database: str) -> None:
    async def scenario() -> None:
        async with writing(mongo_uri, database) as writer:
            large = "x" * 5_000_000
            await asyncio.gather(*(writer.write("things", {"_id": i, "x": large}) for i in range(6)))
            assert writer.counts["batches"] == 2

    asyncio.run(scenario())


BAD_DOCUMENTS: dict[str, dict[str, Any]] = {
    "17 MB": {"text": "x" * 17_000_000},
    "of a type that BSON lacks": {"value": object()},
    "a field of ours": {"first_seen": 1},
    "another field of ours": {"last_seen": 1},
    "nested too deep to be stored": {"value": nested(185)},
    "nested too deep to be read": {"value": nested(250)},
    "nested too deep to be encoded": {"value": nested(5000)},
    "refused by the collection": {"price": "cheap"},
    "not unique": {"serial": 7},
    "two field names that are stored as one": {"1": 1, 1: 2},
    "an _id that is a list": {"_id": [1]},
    "an _id that is an operator": {"_id": {"$ne": None}},
    "an _id that is no number": {"_id": float("nan")},
}


@pytest.mark.parametrize("bad", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
def test_an_item_that_mongodb_refuses_does_not_take_its_batch_with_it(
    mongo_uri: str, database: str, mongo_client: Client, bad: dict[str, Any]
) -> None:
    # Given a collection with rules of its own
    mongo_client[database].create_collection("things", validator={"price": {"$not": {"$type": "string"}}})
    things = mongo_client[database]["things"]
    things.create_index("serial", unique=True, sparse=True)
    things.insert_one({"_id": "other", "serial": 7})

    async def scenario() -> list[BaseException | None]:
        async with writing(mongo_uri, database) as writer:
            # When a bad document is written amid 40 good ones
            documents: list[dict[str, Any]] = [{"_id": i, "n": i} for i in range(40)]
            documents.insert(20, {"_id": "bad", **bad})
            writes = (writer.write("things", document) for document in documents)
            return await asyncio.gather(*writes, return_exceptions=True)

    outcomes = asyncio.run(scenario())

    # Then it alone is refused, with a reason that is no longer than need be
    refusal = outcomes.pop(20)
    assert isinstance(refusal, Refused)
    assert 10 < len(str(refusal)) < 500
    assert outcomes == [None] * 40
    assert things.count_documents({"n": {"$exists": True}}) == 40
    assert things.find_one({"_id": "bad"}) is None


def test_a_document_that_is_too_large_is_not_even_sent(mongo_uri: str, database: str) -> None:
    async def scenario() -> None:
        async with writing(mongo_uri, database) as writer:
            with pytest.raises(Refused):
                await writer.write("things", {"_id": 1, "text": "x" * 17_000_000})
            assert writer.counts["batches"] == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("index", "documents", "passing"),
    [
        ("_id", [{"_id": 1}, {"_id": 1}], True),
        ("serial", [{"_id": 1, "serial": 7}, {"_id": 2, "serial": 7}], False),
    ],
)
def test_only_a_collision_of_ids_is_tried_again(
    database: str,
    mongo_client: Client,
    index: str,
    documents: list[dict[str, Any]],
    passing: bool,
) -> None:
    # Given the error that MongoDB gives for a collision in an index
    things = mongo_client[database]["things"]
    things.create_index("serial", unique=True, sparse=True)
    with pytest.raises(BulkWriteError) as caught:
        things.insert_many(documents, ordered=False)
    (failure,) = caught.value.details["writeErrors"]
    assert failure["keyPattern"] == {index: 1}

    # Then it passes only where two workers stored the same item
    assert is_passing(failure) == passing


@pytest.mark.parametrize("collection", ["", "a$b", "a..b", "x" * 300, "system.js", "a\0b", "a\ud800"])
def test_a_document_for_a_collection_that_can_not_be_is_refused(
    mongo_uri: str, database: str, collection: str
) -> None:
    async def scenario() -> None:
        async with writing(mongo_uri, database) as writer:
            with pytest.raises(Refused):
                await writer.write(collection, {"_id": 1})

    asyncio.run(scenario())


def test_workers_that_store_the_same_documents_at_once_all_succeed(
    mongo_uri: str, database: str, mongo_client: Client
) -> None:
    async def scenario() -> None:
        async with (
            writing(mongo_uri, database) as one,
            writing(mongo_uri, database) as two,
            writing(mongo_uri, database) as three,
        ):
            workers = (one, two, three)
            await asyncio.gather(
                *(worker.write("things", {"_id": i}) for i in range(1000) for worker in workers)
            )

    asyncio.run(scenario())
    assert mongo_client[database]["things"].count_documents({}) == 1000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    """A MongoDB of this test's own, to be mistreated."""
    with mongo_server(tmp_path / "mongo") as running:
        yield running


def _kill_and_start(server: MongoServer) -> Callable[[], None]:
    server.kill()
    return server.start


def _stop_and_start(server: MongoServer) -> Callable[[], None]:
    server.stop()
    return server.start


def _pause_and_resume(server: MongoServer) -> Callable[[], None]:
    server.pause()
    return server.resume


@pytest.mark.parametrize("outage", [_kill_and_start, _stop_and_start, _pause_and_resume])
def test_an_outage_loses_nothing_doubles_nothing_and_is_told_in_two_lines(
    server: MongoServer,
    outage: Callable[[MongoServer], Callable[[], None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        async with writing(server.uri, "crawlers", MONGO_TIMEOUT_S=1) as writer:
            # Given 400 documents, ten being written at a time
            numbers = iter(range(400))
            stored: list[int] = []

            async def write_on() -> None:
                for i in numbers:
                    await writer.write("things", {"_id": i})
                    stored.append(i)

            writes = asyncio.gather(*(write_on() for _ in range(10)))
            await until(lambda: len(stored) >= 100)

            # When MongoDB is gone for a while, amid the writes
            end_outage = outage(server)
            await until(lambda: writer.counts["retries"] >= 20)
            assert len(stored) < 400
            end_outage()

            # Then every write returns
            await writes
            assert sorted(stored) == list(range(400))

    with caplog.at_level(logging.INFO, logger="crawlers.mongo"):
        asyncio.run(scenario())

    # And every document is there once, and the log has one line for the start and one for the end
    with pymongo.MongoClient[dict[str, Any]](server.uri) as client:
        assert {found["_id"] for found in client["crawlers"]["things"].find()} == set(range(400))
    began, ended = (record.getMessage() for record in caplog.records)
    assert "MongoDB takes no writes to crawlers.things" in began
    assert "MONGO_URI" in began
    assert re.fullmatch(r"MongoDB takes writes to crawlers.things again, [\d.]+ s on", ended)


def test_a_wrong_password_is_named_without_being_told_and_waits_until_it_is_right(
    server: MongoServer, caplog: pytest.LogCaptureFixture
) -> None:
    uri = server.uri.replace("://", f"://writer:{PASSWORD}@")
    uri += "&authSource=admin&heartbeatFrequencyMS=3000"

    async def scenario(client: Client) -> None:
        async with writing(uri, "crawlers", MONGO_TIMEOUT_S=1) as writer:
            # Given a write for which MongoDB knows no such user
            write = asyncio.create_task(writer.write("things", {"_id": 1}))
            await until(lambda: writer.counts["retries"] >= 3)

            # When the user is made
            roles = [{"role": "readWrite", "db": "crawlers"}]
            client.admin.command("createUser", "writer", pwd=PASSWORD, roles=roles)

            # Then the document is stored
            await write

    with pymongo.MongoClient[dict[str, Any]](server.uri) as client:
        asyncio.run(scenario(client))
        assert client["crawlers"]["things"].count_documents({}) == 1
    began, ended = (record.getMessage() for record in caplog.records)
    assert "MongoDB takes no writes to" in began
    assert "Check the user, the password and authSource in MONGO_URI" in began
    assert "again" in ended
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"MONGO_URI": f"mongodb://me:{PASSWORD}:x@db/"}, "MONGO_URI mongodb://***@db/ can't be"),
        ({"MONGO_URI": f"mongodb://me:{PASSWORD}/x@db/y"}, "MONGO_URI mongodb://***@db/y can't"),
        ({"MONGO_URI": f"mongodb://me:x/{PASSWORD}@db/y"}, "MONGO_URI mongodb://***@db/y can't"),
        ({"MONGO_URI": f"mongodb://me:{PASSWORD}"}, "MONGO_URI can't be used"),
        (
            {"MONGO_URI": f"http://me:{PASSWORD}@db"},
            "MONGO_URI http://***@db can't be used, it must be like mongodb://",
        ),
        ({"MONGO_URI": ""}, "MONGO_URI can't be used"),
        ({"MONGO_URI": "mongodb://db/?tls=true&tlsCAFile=/none"}, "MONGO_URI can't be used"),
        ({"MONGO_DATABASE": "a b"}, "MONGO_DATABASE can't be used"),
        ({"MONGO_WRITE_CONCERN": "0"}, "MONGO_WRITE_CONCERN must be at least 1"),
        ({"MONGO_TIMEOUT_S": "soon"}, "MONGO_TIMEOUT_S must be a number, not 'soon'"),
        ({"MONGO_TIMEOUT_S": 0}, "MONGO_TIMEOUT_S must be more than 0 seconds"),
    ],
)
def test_a_setting_that_can_not_be_used_is_named_and_no_password_is_told(
    settings: dict[str, object], sentence: str
) -> None:
    async def scenario() -> None:
        config = MongoConfig.of(Settings(settings))
        assert PASSWORD not in repr(config)
        Writer(config)

    with pytest.raises(BadMongoSetting) as caught:
        asyncio.run(scenario())
    assert sentence in str(caught.value)
    assert PASSWORD not in str(caught.value)


SHOP = """
from dataclasses import dataclass

import scrapy

from crawlers.items import Quote

SPIDER_MODULES = ["shop"]
ITEM_PIPELINES = {"crawlers.pipelines.ValidatePipeline": 1, "crawlers.pipelines.MongoPipeline": 2}
TELNETCONSOLE_ENABLED = False
LOG_LEVEL = "INFO"


class Shop(scrapy.Spider):
    name = "shop"

    async def start(self):
        yield Quote("a", "Ada", [], "http://host/1")
        yield Quote("a", "Ada", ["again"], "http://host/2")
        yield Quote("b", None, [], "http://host/3")
        yield {"url": "http://host/4", "text": "x" * 17_000_000}
        yield {"url": "http://host/5", "text": "y"}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Callable[..., Ended]:
    """Runs a spider that yields two items of one identity, an invalid, a huge and a plain one."""
    (tmp_path / "shop.py").write_text(SHOP)
    env = {"SCRAPY_SETTINGS_MODULE": "shop", "PYTHONPATH": f"{tmp_path}:{ROOT}"}

    def run(**settings: object) -> Ended:
        return run_spider("shop", tmp_path, settings=settings, env=env, cwd=tmp_path)

    return run


def test_a_spider_s_items_are_stored_and_what_can_not_be_is_set_aside(
    shop: Callable[..., Ended], mongo_uri: str, database: str, mongo_client: Client
) -> None:
    # When a spider runs twice
    for _ in range(2):
        ended = shop(MONGO_URI=mongo_uri, MONGO_DATABASE=database)
        assert ended.status == 0

    # Then each item is there once
    stored = mongo_client[database]
    (quote,) = stored["quotes"].find()
    assert quote["tags"] == ["again"]
    assert stored["items"].distinct("url") == ["http://host/5"]

    # And what could not be stored is described, once
    invalid, huge = stored["refused"].find(sort=[("url", 1)])
    assert invalid["reason"] == "Quote.author must be str, not None"
    assert (invalid["item"], invalid["url"]) == ("Quote", "http://host/3")
    assert 10 < len(huge["reason"]) < 500
    assert (huge["item"], huge["url"]) == ("dict", "http://host/4")
    assert len(huge["preview"]) <= 4096

    # And the log says so without spelling them out
    assert "'mongo/stored': 3" in ended.log
    assert "'mongo/refused': 2" in ended.log
    assert "Refused a Quote, see the collection 'refused': Quote.author must be" in ended.log
    assert len(ended.log) < 20_000

    # And it is kept whole
    content = "".join(part["content"] for part in stored["refused_parts"].find(sort=[("_id", 1)]))
    assert json.loads(content) == {"url": "http://host/4", "text": "x" * 17_000_000}
    assert huge["parts"] == stored["refused_parts"].count_documents({})


def test_a_bad_address_ends_a_spider_with_one_sentence_and_a_failing_status(
    shop: Callable[..., Ended],
) -> None:
    ended = shop(MONGO_URI=f"mongodb://me:{PASSWORD}/@db:port/")
    assert ended.status == 1
    (line,) = [line for line in ended.log.splitlines() if "CRITICAL" in line]
    assert "MONGO_URI mongodb://***@db:port/ can't be used" in line
    assert "Traceback" not in ended.log


def test_items_are_checked_without_mongodb_too(shop: Callable[..., Ended]) -> None:
    only_validation = '{"crawlers.pipelines.ValidatePipeline": 1}'
    ended = shop(ITEM_PIPELINES=only_validation)
    assert ended.status == 0
    assert "Dropped: Quote.author must be str, not None" in ended.log
    assert "'item_scraped_count': 4" in ended.log
