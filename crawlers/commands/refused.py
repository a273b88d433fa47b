"""`scrapy refused [ID]`: the items that MongoDB could not take, and each of them whole."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from scrapy.commands import ScrapyCommand

from crawlers.frontier import printable
from crawlers.mongo import BadMongoSetting, MongoConfig
from crawlers.mongo.errors import first_words
from crawlers.mongo.refused import PARTS, REFUSED

_ROWS = 20


class Command(ScrapyCommand):
    """Shows what was refused. Exit status 1 where there is no such item, 2 where MongoDB can't be asked."""

    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  # Scrapy's way

    def syntax(self) -> str:
        """For the help text."""
        return "[ID] [options]"

    def short_desc(self) -> str:
        """For the list of commands."""
        return "Items that MongoDB could not take; with an ID the whole of one, as JSON"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """How many, and for whom."""
        super().add_options(parser)
        parser.add_argument("--limit", type=int, default=_ROWS, help="rows; 0: all; default: 20")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Prints them."""
        assert self.settings is not None
        try:
            self.exitcode = asyncio.run(_show(MongoConfig.of(self.settings), args, opts))
        except BadMongoSetting as error:
            print(f"scrapy refused: {error}", file=sys.stderr)
            self.exitcode = 2
        except PyMongoError as error:
            print(f"scrapy refused: MongoDB failed: {first_words(error)}. See MONGO_URI", file=sys.stderr)
            self.exitcode = 2


async def _show(config: MongoConfig, args: list[str], opts: argparse.Namespace) -> int:
    database = config.connect()
    try:
        return await (_whole(database, args[0]) if args else _list(database, opts))
    finally:
        await database.client.close()


async def _list(database: AsyncDatabase[dict[str, Any]], opts: argparse.Namespace) -> int:
    number = 0
    newest = database[REFUSED].find({}, {"content": 0}).sort("last_seen", -1).limit(max(0, opts.limit))
    async for found in newest:
        number += 1
        if opts.json:
            print(json.dumps(found, default=str))
        else:
            row = (str(found.get(name, "")) for name in ("_id", "item", "bytes", "url", "reason"))
            print(printable("  ".join(row)))
    if not number and not opts.json:
        print("Nothing was refused.")
    return 0


async def _whole(database: AsyncDatabase[dict[str, Any]], identity: str) -> int:
    found = await database[REFUSED].find_one({"_id": {"$eq": identity}})
    if found is None:
        print(f"scrapy refused: there is no {identity!r}", file=sys.stderr)
        return 1
    sys.stdout.write(found.get("content", ""))
    for number in range(found.get("parts", 0)):
        part = await database[PARTS].find_one({"_id": {"$eq": f"{identity} {number:06d}"}})
        if part is None:
            print(f"scrapy refused: part {number} of {identity!r} is missing", file=sys.stderr)
            return 1
        sys.stdout.write(part["content"])
    print()
    return 0
