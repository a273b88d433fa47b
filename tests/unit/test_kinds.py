"""Values beyond plain data come back from a queue as what they were; no name is looked up blindly."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import msgpack
import pytest
import scrapy

from crawlers.frontier import BadPayload, Link, Opaque, decode, encode, register
from crawlers.scheduler.itemkinds import admit

URL = "http://a.example/"
PLENTY = 1_000_000


class Colour(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    HELLO = "hello"


class Book(scrapy.Item):
    title = scrapy.Field()
    price = scrapy.Field()


@dataclass(slots=True, frozen=True)
class Offer:
    name: str
    price: Decimal | None = None
    tags: list[str] = field(default_factory=list)


@attrs.define
class Shop:
    _id: str
    url: str = ""


class Example(scrapy.Spider):
    name = "example"


@pytest.fixture(autouse=True)
def admitted() -> None:
    """A spider of this module has started."""
    admit(Example())


@pytest.mark.parametrize(
    "value",
    [
        *(Decimal("19.90"), datetime.time(1, 2, 3), datetime.timedelta(-1, 5, 7), UUID(int=7), Path("/a/b")),
        *(datetime.date(2024, 5, 6), {1, 2}, (1, (2,)), b"ab", 1j, 2**70),
        *(Colour.RED, Word.HELLO, Book(title="half-filled"), Offer("o", Decimal(1), ["t"]), Shop("7")),
        *([Book(price=Decimal(1))], {"a": {"b": Colour.RED}}, Book(title=Offer("within"))),
    ],
    ids=repr,
)
@pytest.mark.parametrize("place", ["meta", "cb_kwargs"])
def test_a_value_comes_back_as_it_was(value: Any, place: str) -> None:
    # Given a link that holds it
    link = Link(URL, **{place: {"value": value}})
    # When it goes through a queue
    (back,) = getattr(decode(encode(link, PLENTY)), place).values()
    # Then it is equal, and of its class
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("os:system", "true"),
        ("subprocess:Popen", ["true"]),
        ("scrapy.spiders:Spider", {}),
        (f"{__name__}:Example", {}),
        (f"{__name__}:Colour", "__class__"),
        (f"{__name__}:Book", {"no such field": 1}),
        (f"{__name__}:Offer", {"__class__": "Example"}),
        (f"{__name__}:Shop", [1]),
        ("decimal", "no number"),
        ("timedelta", [10**15]),
        ("time", 5),
        (7, "a"),
        ([], "a"),
    ],
)
def test_a_name_that_is_not_registered_and_data_that_does_not_fit_are_refused(name: Any, plain: Any) -> None:
    # Given what somebody wrote into Redis
    value = msgpack.ExtType(7, msgpack.packb([name, plain]))
    # When a worker reads it, it is a bad payload
    with pytest.raises(BadPayload):
        decode(msgpack.packb([1, URL, None, {"a": value}]))


def test_who_has_no_classes_of_the_spider_reads_and_writes_the_link_all_the_same() -> None:
    # Given a payload with an item
    payload = encode(Link(URL, meta={"book": Book(title="t")}), PLENTY)
    # When an operator's command reads and writes it
    link = decode(payload, known_only=False)
    # Then it is the same
    assert isinstance(link.meta["book"], Opaque)
    assert encode(link, PLENTY) == payload


def test_another_class_is_admitted_by_a_pair_of_functions() -> None:
    # Given a class such as scrapy-playwright's, and its pair
    class PageMethod:
        def __init__(self, method: str, *args: Any, **kwargs: Any) -> None:
            self.method, self.args, self.kwargs = method, args, kwargs

    register(PageMethod, lambda p: [p.method, p.args, p.kwargs], lambda v: PageMethod(v[0], *v[1], **v[2]))
    # When one goes through a queue
    sent = PageMethod("wait_for_selector", "div", timeout=5)
    back = decode(encode(Link(URL, meta={"methods": [sent]}), PLENTY)).meta["methods"][0]
    # Then it comes back
    assert (back.method, back.args, back.kwargs) == ("wait_for_selector", ("div",), {"timeout": 5})
