"""Whatever a site puts into an item is a value: it is stored as it is, and touches no other document."""

from __future__ import annotations

import asyncio
import enum
import json
import math
from collections import deque
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import pymongo
import pytest
import scrapy
from bson import Decimal128, Int64, ObjectId
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scrapy.settings import Settings

from crawlers.items import document_of
from crawlers.mongo import MongoConfig, Refused, Writer

Client = pymongo.MongoClient[dict[str, Any]]
OURS = {"first_seen", "last_seen"}
OTHERS = [{"_id": i, "n": 1} for i in (1, "a", "", "$ne")]
_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    uuid_representation=UuidRepresentation.STANDARD, tz_aware=True
)


def store(uri: str, database: str, *documents: Mapping[str, Any]) -> list[BaseException | None]:
    """Write them at once; what each write said."""

    async def scenario() -> list[BaseException | None]:
        writer = Writer(MongoConfig.of(Settings({"MONGO_URI": uri, "MONGO_DATABASE": database})))
        writes = (writer.write("things", document) for document in documents)
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        await writer.close()
        return outcomes

    return asyncio.run(scenario())


def fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """What was found, without what the writer adds."""
    return {name: value for name, value in document.items() if name not in OURS}


# The words that mean something to MongoDB somewhere, among any others.
_names = st.sampled_from(
    ["_id", "$ne", "$set", "$ref", "$oid", "$literal", "$$ROOT", "a.b", "a.$", "a", "", ".", "__class__"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
_texts = _names | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
_scalars = st.none() | st.booleans() | _texts | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3)
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(item=st.dictionaries(_names, _values, max_size=5))
def test_whatever_json_a_site_sends_only_its_own_document_changes_and_reads_back_equal(
    mongo_uri: str, database: str, mongo_client: Client, item: dict[str, Any]
) -> None:
    # Given documents of others
    things = mongo_client[database]["things"]
    things.delete_many({})
    things.insert_many(OTHERS)

    # When a spider yields what a site sent, as JSON, twice
    document = document_of(json.loads(json.dumps(item)))
    (outcome, again) = store(mongo_uri, database, document, document)

    # Then the others are as before, but for the one whose _id it has
    found = list(things.find())
    others = [other for other in OTHERS if other["_id"] != document["_id"]]
    assert [other for other in found if other in others] == others
    theirs = [other for other in found if other not in others]
    assert len(theirs) <= 1

    # And it is there as it came, unless its _id can't be one
    if outcome is None and again is None:
        assert {**fields(theirs[0]), **document} == fields(theirs[0])
    else:
        assert isinstance(document["_id"], dict | list)
        assert isinstance(outcome, Refused)
        assert "_id" in str(outcome)


@pytest.mark.parametrize(
    "identity",
    [
        {"$ne": None},
        {"$gt": ""},
        {"$regex": ".*"},
        {"$exists": True},
        {"$in": ["a", 1]},
        {"$oid": "507f1f77bcf86cd799439011"},
        {"$ref": "things", "$id": "a"},
        {"$where": "true"},
        {"a": {"$ne": 1}},
        ["a"],
        [],
        [{"$ne": None}],
        math.nan,
        "\ud800",
        object(),
        2**200,
        {"a\0b": 1},
        "x" * 17_000_000,
    ],
    ids=lambda identity: repr(identity)[:30],
)
def test_an_id_that_can_not_be_one_refuses_its_item_alone(
    mongo_uri: str, database: str, mongo_client: Client, identity: Any
) -> None:
    # Given documents of others
    things = mongo_client[database]["things"]
    things.insert_many(OTHERS)

    # When an item comes with such an _id, beside another
    outcomes = store(mongo_uri, database, {"_id": identity, "pwned": 1}, {"_id": "well", "n": 1})

    # Then it is refused, the other is stored, and nothing else has changed
    assert isinstance(outcomes[0], Refused)
    assert outcomes[1] is None
    assert [fields(found) for found in things.find()] == [*OTHERS, {"_id": "well", "n": 1}]


@pytest.mark.parametrize(
    "identity",
    [
        *("a", "$ne", "a.b", b"a", 7, -1.5, True, datetime(2024, 5, 6, tzinfo=UTC), UUID(int=7), ObjectId()),
        *({"shop": 1, "sku": "$x"}, {}, Int64(7), "x" * 3_000_000),
    ],
    ids=lambda identity: repr(identity)[:30],
)
def test_an_id_that_can_be_one_is_kept_and_finds_its_document_again(
    mongo_uri: str, database: str, mongo_client: Client, identity: Any
) -> None:
    # When an item is stored, and once more with another field
    for document in ({"_id": identity, "a": 1}, {"_id": identity, "b": 2}):
        assert store(mongo_uri, database, document) == [None]

    # Then there is one document, with both
    (found,) = mongo_client[database].get_collection("things", codec_options=_CODEC).find()
    assert fields(found) == {"_id": identity, "a": 1, "b": 2}


class Colour(enum.Enum):
    """One of the values that Scrapy's users put into items."""

    RED = "red"


class Offer(scrapy.Item):
    """An item within an item."""

    price = scrapy.Field()


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Decimal("19.90"), Decimal128("19.90")),
        (Decimal("NaN"), Decimal128("NaN")),
        (Decimal("1." + "1" * 50), "1." + "1" * 50),
        (2**63 - 1, 2**63 - 1),
        (2**63, Decimal128(str(2**63))),
        (-(2**400), str(-(2**400))),
        (date(2024, 5, 6), datetime(2024, 5, 6, tzinfo=UTC)),
        (datetime(2024, 5, 6, 7, tzinfo=UTC), datetime(2024, 5, 6, 7, tzinfo=UTC)),
        (time(12, 30), "12:30:00"),
        (timedelta(minutes=1.5), 90.0),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1: {2}, "a": Decimal(1)}, {"1": [2], "a": Decimal128("1")}),
        ((1, (2,)), [1, [2]]),
        (deque([1]), [1]),
        (range(3), [0, 1, 2]),
        ({"a": 1}.keys(), ["a"]),
        (Colour.RED, "red"),
        ({Colour.RED: Colour.RED}, {"red": "red"}),
        (Path("/a/b"), "/a/b"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (UUID(int=7), UUID(int=7)),
        (Fraction(1, 3), "1/3"),
        (ip_address("127.0.0.1"), "127.0.0.1"),
        ("a\ud800b", "a\ufffdb"),
        ({"a\ud800": 1}, {"a\ufffd": 1}),
        ({"a\0b": 1}, {"a\ufffdb": 1}),
        ({True: 1, None: 2, b"b": 3}, {"true": 1, "null": 2, "b": 3}),
        ({1.5: 1, date(2024, 5, 6): 2}, {"1.5": 1, "2024-05-06": 2}),
        (Offer(price=Decimal(1)), {"price": Decimal128("1")}),
        ([Offer(price={1})], [{"price": [1]}]),
        ({"$ref": "a", "$id": 1}, {"\uff04ref": "a", "$id": 1}),
        ({"$ref": "#/a"}, {"$ref": "#/a"}),
        (math.inf, math.inf),
        (Binary(b"x", 5), Binary(b"x", 5)),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_value_that_mongodb_lacks_is_stored_as_what_comes_nearest(
    mongo_uri: str, database: str, mongo_client: Client, value: Any, stored: Any
) -> None:
    # When an item has it in a field, in a list, and in a document
    document = document_of({"value": value, "list": [value], "within": {"a": value}})
    assert store(mongo_uri, database, document) == [None]

    # Then MongoDB has what comes nearest
    (found,) = mongo_client[database].get_collection("things", codec_options=_CODEC).find()
    assert found["value"] == stored
    assert type(found["value"]) is type(stored) or isinstance(stored, bytes | int)
    assert found["list"] == [stored]
    assert found["within"] == {"a": stored}


def test_a_document_that_would_be_read_as_a_reference_is_read_as_a_document(
    mongo_uri: str, database: str, mongo_client: Client
) -> None:
    document = {"_id": "x", "$ref": "a", "$id": 1, "n": 1}
    assert store(mongo_uri, database, document) == [None]
    (found,) = mongo_client[database]["things"].find()
    assert fields(found) == {"_id": "x", "\uff04ref": "a", "$id": 1, "n": 1}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), "value: a object is not plain data"),
        ([{"b": print}], "value: 0: b: a builtin_function_or_method is not plain data"),
        ({("a", "b"): 1}, "value: a key of it is a tuple: keys must be text"),
        ({"1": 1, 1: 1}, "value: two of its keys become the same text"),
    ],
)
def test_what_is_refused_is_told_with_its_place(
    mongo_uri: str, database: str, value: Any, place: str
) -> None:
    (outcome,) = store(mongo_uri, database, {"_id": 1, "value": value})
    assert isinstance(outcome, Refused)
    assert str(outcome) == place
