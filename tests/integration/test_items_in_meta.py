"""The tutorial's idiom: an item that one callback begins and the next one completes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pymongo

from deploy.local.practice_site import PracticeSite
from tests.helpers import ROOT, run_spider

SHOP = """
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

import scrapy

SPIDER_MODULES = ["shop"]


class Colour(Enum):
    RED = "red"


class Book(scrapy.Item):
    title = scrapy.Field()
    url = scrapy.Field()
    price = scrapy.Field()


@dataclass
class Offer:
    title: str
    price: Decimal | None = None
    colour: Colour | None = None
    _id: str | None = None


class Shop(scrapy.Spider):
    name = "shop"

    def parse(self, response):
        for number in range(3):
            book = Book(title=f"b{number}")
            yield response.follow(f"/graph/{number + 1}", self.detail, meta={"book": book})
            offer = Offer(f"o{number}", colour=Colour.RED)
            yield response.follow(f"/graph/{number + 11}", self.offer, cb_kwargs={"offer": offer})

    def detail(self, response):
        book = response.meta["book"]
        book["url"], book["price"] = response.url, Decimal("1.50")
        yield book

    def offer(self, response, offer):
        offer.price = Decimal("2.50")
        yield offer
"""


def test_half_filled_items_reach_the_callbacks_that_complete_them(
    tmp_path: Path,
    practice_site: PracticeSite,
    redis_url: str,
    crawl_name: str,
    mongo_uri: str,
    database: str,
    mongo_client: pymongo.MongoClient[dict[str, Any]],
) -> None:
    # Given a spider whose callbacks hand items on, in meta and in cb_kwargs
    source = SHOP + f"\n    start_urls = [{practice_site.url + 'graph/0'!r}]\n"
    (tmp_path / "shop.py").write_text("from crawlers.settings import *\n" + source)
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = shop\n")

    # When it runs
    ended = run_spider(
        "shop",
        tmp_path,
        arguments={"crawl": crawl_name},
        settings={"REDIS_URL": redis_url, "MONGO_URI": mongo_uri, "MONGO_DATABASE": database},
        env={"SCRAPY_SETTINGS_MODULE": "shop", "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        cwd=tmp_path,
    )

    # Then all items are complete
    assert ended.status == 0
    books, offers = (list(mongo_client[database][name].find()) for name in ("books", "offers"))
    assert sorted((book["title"], book["price"].to_decimal()) for book in books) == [
        (f"b{number}", Decimal("1.50")) for number in range(3)
    ]
    assert sorted((offer["title"], offer["colour"]) for offer in offers) == [
        (f"o{number}", "red") for number in range(3)
    ]
