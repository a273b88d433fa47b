"""What MongoDB refuses is kept whole, shown, and stands in feeds."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pymongo
import pytest
from scrapy.settings import Settings

from crawlers.mongo import MongoConfig, Writer
from crawlers.mongo.refused import keep
from tests.helpers import ROOT, run_spider

Client = pymongo.MongoClient[dict[str, Any]]

SHOP = """
from dataclasses import dataclass
from datetime import datetime

import scrapy

from crawlers.values import NotStorable

SPIDER_MODULES = ["shop"]
ITEM_PIPELINES = {"crawlers.pipelines.ValidatePipeline": 1, "crawlers.pipelines.MongoPipeline": 2}
TELNETCONSOLE_ENABLED = False


@dataclass
class Offer:
    name: str
    _id: str | None = None
    seen: datetime | str | None = None


@dataclass
class Frontier:
    collection = "frontier_chunks"
    name: str


class Shop(scrapy.Spider):
    name = "shop"

    async def start(self):
        for name in "abcde":
            yield Offer(name, _id=None)
        yield Offer("empty", _id="")
        yield {"_id": {"$ne": None}, "url": "http://host/x", "pwned": 1}
        yield {"_id": 7, "first_seen": "theirs"}
        yield Frontier("ours")
        yield Offer("now", seen=datetime.now())
        yield Offer("now too", seen=datetime.now().isoformat())
        yield {"name": "now", "at": datetime.now().timestamp()}
"""


@pytest.fixture
def environment(tmp_path: Path, mongo_uri: str, database: str) -> dict[str, str]:
    """Where the spider and its MongoDB are."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = shop\n")
    return {
        "SCRAPY_SETTINGS_MODULE": "shop",
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "MONGO_URI": mongo_uri,
        "MONGO_DATABASE": database,
    }


def test_what_is_refused_is_kept_whole_and_stands_in_the_feed(
    environment: dict[str, str], tmp_path: Path, mongo_uri: str, database: str, mongo_client: Client
) -> None:
    # When a spider yields items without identity, such as MongoDB refuses, and such as hold the time
    feed = tmp_path / "items.jsonl"
    ended = run_spider(
        "shop",
        tmp_path,
        settings={
            "MONGO_URI": mongo_uri,
            "MONGO_DATABASE": database,
            "FEEDS": json.dumps({str(feed): {"format": "jsonlines"}}),
        },
        env=environment,
        cwd=tmp_path,
    )
    assert ended.status == 0

    # Then each is a document of its own, an _id that is None or empty counts as absent
    stored = mongo_client[database]
    assert sorted(stored["offers"].distinct("name")) == ["a", "b", "c", "d", "e", "empty", "now", "now too"]
    assert stored["offers"].count_documents({}) == 8
    assert stored["offers"].count_documents({"_id": {"$in": [None, ""]}}) == 0

    # And the refused ones are there whole, and nothing else has changed
    refused = {json.dumps(json.loads(found["content"])) for found in stored["refused"].find()}
    assert refused == {
        '{"_id": {"$ne": null}, "url": "http://host/x", "pwned": 1}',
        '{"_id": 7, "first_seen": "theirs"}',
        '{"name": "ours"}',
    }
    assert stored["frontier_chunks"].count_documents({}) == 0

    # And the feed has all twelve, while the stats tell them apart
    assert len(feed.read_text().splitlines()) == 12
    assert "'mongo/stored': 9" in ended.log
    assert "'mongo/refused': 3" in ended.log
    assert "('http://host/x')" in ended.log

    # And of each class it is said once that the time is in its identity
    assert ended.log.count("Offer has no `identity`, and its field 'seen' differs each time") == 1
    assert ended.log.count("dict has no `identity`, and its field 'at' differs each time") == 1


CONTENTS: dict[str, tuple[Any, Any]] = {
    "half a character": ({"a": "\ud800"}, {"a": "\ud800"}),
    "a key with NUL": ({"a\0": 1}, {"a\0": 1}),
    "bytes": ({"a": b"ab"}, {"a": {"base64": "YWI="}}),
    "an object": ({"a": object()}, {"a": "<object object>"}),
    "keys of tuples": ({("a", 1): 1}, {"('a', 1)": 1}),
    "all kinds of containers": (
        {"a": [(), {1}, {}, [None, True, 1.5]]},
        {"a": [[], [1], {}, [None, True, 1.5]]},
    ),
    "9 MB": ({"a": "x" * 9_000_000}, {"a": "x" * 9_000_000}),
}


@pytest.mark.parametrize(("item", "content"), CONTENTS.values(), ids=CONTENTS.keys())
def test_whatever_it_holds_a_refused_item_is_printed_whole(
    mongo_uri: str, database: str, item: Any, content: Any
) -> None:
    # Given an item that was refused
    async def scenario() -> str:
        writer = Writer(MongoConfig.of(Settings({"MONGO_URI": mongo_uri, "MONGO_DATABASE": database})))
        kept = await keep(writer, item, "because")
        await writer.close()
        return str(kept["_id"])

    identity = asyncio.run(scenario())

    # When it is asked for
    options = ["-s", f"MONGO_URI={mongo_uri}", "-s", f"MONGO_DATABASE={database}"]
    shown = subprocess.run(
        [
            sys.executable,
            "-m",
            "scrapy",
            "refused",
            identity,
            *options,
            "-s",
            "COMMANDS_MODULE=crawlers.commands",
        ],
        **{"cwd": ROOT, "capture_output": True, "text": True, "check": True},
        env={**os.environ, "SCRAPY_SETTINGS_MODULE": "crawlers.settings"},
    )

    # Then it comes as it was
    assert json.loads(shown.stdout) == content


def test_an_item_that_is_deep_or_contains_itself_is_kept_all_the_same(
    mongo_uri: str, database: str, mongo_client: Client
) -> None:
    # Given items that no recursion gets through
    deep: Any = 1
    for _ in range(20_000):
        deep = {"a": deep}
    ring: dict[str, Any] = {"n": 1}
    ring["ring"] = ring

    async def scenario() -> None:
        writer = Writer(MongoConfig.of(Settings({"MONGO_URI": mongo_uri, "MONGO_DATABASE": database})))
        for item in (deep, ring):
            await keep(writer, item, "because")
        await writer.close()

    # When they are set aside
    asyncio.run(scenario())

    # Then they are kept
    contents = mongo_client[database]["refused"].distinct("content")
    assert '{"a":' * 20_000 + "1" + "}" * 20_000 in contents
    assert '{"n":1,"ring":"(contains itself)"}' in contents
