"""Items are checked against their types and known by their identity."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar

import pytest
import scrapy
from hypothesis import given
from hypothesis import strategies as st

from crawlers.items import BadItem, Page, Quote, collection_of, digest, document_of, validate

QUOTE = Quote(text="“Stay.”", author="Ada", tags=["short"], url="http://host/")
PAGE = Page(
    url="http://host/",
    status=200,
    title=None,
    text_length=0,
    links=0,
    content_type="text/html",
    fetched_at=datetime(2024, 5, 6, tzinfo=UTC),
    depth=0,
    referrer=None,
)


@dataclass
class Product:
    """An item that says nothing about itself."""

    name: str
    price: float
    sizes: dict[str, int]


class Offer(scrapy.Item):
    """A `scrapy.Item` with an identity and a collection."""

    identity: ClassVar[tuple[str, ...]] = ("sku",)
    collection: ClassVar[str] = "special_offers"
    sku = scrapy.Field()
    price = scrapy.Field()


@pytest.mark.parametrize("item", [QUOTE, PAGE, replace(PAGE, title="T", referrer="http://host/a")])
def test_an_item_of_the_right_types_is_valid(item: Quote | Page) -> None:
    validate(item)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (replace(PAGE, status="200"), "Page.status must be int, not str"),
        (replace(PAGE, status=True), "Page.status must be int, not bool"),
        (replace(PAGE, status=None), "Page.status must be int, not None"),
        (replace(PAGE, title=b"t"), "Page.title must be str | None, not bytes"),
        (replace(PAGE, fetched_at="now"), "Page.fetched_at must be datetime, not str"),
        (replace(QUOTE, text=None), "Quote.text must be str, not None"),
        (replace(QUOTE, tags="short"), "Quote.tags must be list[str], not str"),
        (replace(QUOTE, tags=["a", 1]), "Quote.tags must be list[str], not list[int | str]"),
        (Product("p", "1", {}), "Product.price must be float, not str"),
        (Product("p", 1, {"a": "b"}), "Product.sizes must be dict[str, int], not dict"),
    ],
)
def test_an_invalid_item_is_told_its_field_the_type_and_the_value_s_type(item: Any, reason: str) -> None:
    with pytest.raises(BadItem) as caught:
        validate(item)
    assert str(caught.value) == reason


@pytest.mark.parametrize("item", [{"a": object()}, Offer(sku=1), Product("p", 1, {"a": 1})])
def test_an_item_without_hints_and_an_int_for_a_float_are_valid(item: Any) -> None:
    validate(item)


def test_the_same_quote_on_another_page_is_the_same_document() -> None:
    other_page = replace(QUOTE, url="http://host/tag/short/", tags=[])
    assert document_of(other_page)["_id"] == document_of(QUOTE)["_id"]


def test_a_document_has_all_the_fields_of_its_item() -> None:
    document = document_of(QUOTE)
    assert document.pop("_id") == "1fa76fd81c2f7551b9241d5488ed0cce"
    assert document == {
        "text": "“Stay.”",
        "author": "Ada",
        "tags": ["short"],
        "url": "http://host/",
    }


def test_the_id_is_the_same_in_another_process() -> None:
    program = "from crawlers.items import *; print(document_of(Quote('“Stay.”', 'Ada', [], ''))['_id'])"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == document_of(QUOTE)["_id"]


def test_values_can_not_slip_from_one_field_of_the_identity_into_the_next() -> None:
    one, other = replace(QUOTE, text="ab", author="c"), replace(QUOTE, text="a", author="bc")
    assert document_of(one)["_id"] != document_of(other)["_id"]


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_two_identities_have_one_digest_only_if_they_are_equal(one: list[str], other: list[str]) -> None:
    assert (digest(one) == digest(other)) == (one == other)


def test_what_json_lacks_is_told_from_the_strings_that_look_like_it() -> None:
    values = [b"a", "61", "a", Decimal("1"), "1", 1, True, 1.5, datetime(2024, 1, 1), {1}, [1]]
    assert len({digest(value) for value in values}) == len(values)


def test_one_moment_is_one_identity_whatever_its_time_zone() -> None:
    noon = datetime(2024, 5, 6, 12, tzinfo=UTC)
    elsewhere = noon.astimezone(timezone(timedelta(hours=5)))
    assert digest(noon) == digest(elsewhere)


def test_an_item_without_identity_is_known_by_its_whole_content_in_any_order() -> None:
    one, other = {"a": 1, "b": [2]}, {"b": [2], "a": 1}
    assert document_of(one)["_id"] == document_of(other)["_id"]
    assert document_of(one)["_id"] != document_of({"a": 1, "b": [3]})["_id"]


def test_a_scrapy_item_is_known_by_the_identity_of_its_class() -> None:
    assert document_of(Offer(sku=7, price=1))["_id"] == document_of(Offer(sku=7, price=2))["_id"]


def test_an_item_s_own_id_is_kept() -> None:
    assert document_of({"_id": 42, "a": 1}) == {"_id": 42, "a": 1}


def test_items_within_items_become_plain_data() -> None:
    nested = {"best": Product("p", 1.0, {"m": 2}), "offers": [Offer(sku=7)]}
    document = document_of(nested)
    assert document["best"] == {"name": "p", "price": 1.0, "sizes": {"m": 2}}
    assert document["offers"] == [{"sku": 7}]


def _containing_itself() -> dict[str, Any]:
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    return ring


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (replace(QUOTE, author=None), "Quote.author is missing, and it identifies the item"),
        (Offer(price=1), "Offer.sku is missing, and it identifies the item"),
        (Offer(sku=object()), "Offer can't be identified: a object is not plain data"),
        ({("a", "b"): 1}, "dict can't be identified: a key of it is a tuple: keys must be text"),
        (_containing_itself(), "dict contains itself or is nested too deep"),
        ("text", "a str is not an item"),
    ],
)
def test_an_item_that_can_not_be_identified_is_told_why(item: Any, reason: str) -> None:
    with pytest.raises(BadItem) as caught:
        document_of(item)
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize(
    ("item", "collection"),
    [
        (QUOTE, "quotes"),
        (PAGE, "pages"),
        (Offer(), "special_offers"),
        (Product("p", 1, {}), "products"),
        ({}, "items"),
    ],
)
def test_a_collection_is_declared_or_follows_from_the_class(item: Any, collection: str) -> None:
    assert collection_of(item) == collection


def test_a_field_named_collection_is_a_field() -> None:
    @dataclass
    class Stamp:
        collection: str = "Ada's"

    assert collection_of(Stamp()) == "stamps"
