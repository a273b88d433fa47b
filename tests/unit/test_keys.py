"""All keys of a crawl, and all that belongs to a list of start URLs, share a node of a Redis Cluster."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from crawlers.frontier import BadCrawlName, BadStartUrls, keys

_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_WITH_BRACES = st.text("{}:ab", max_size=12)


def _slot(key: str) -> int:
    return int(key_slot(key.encode()))


@given(_NAMES | _WITH_BRACES)
def test_a_crawls_name_is_the_hash_tag_of_all_its_keys_or_is_refused(name: str) -> None:
    # Given any name
    with suppress(BadCrawlName):
        # When the keys of a crawl of that name are made
        made = {keys.meta(name), keys.workers(name), keys.dead(name)}
        # Then their slot is that of the name alone
        assert {_slot(key) for key in made} == {_slot(name)}


@given(_NAMES | _WITH_BRACES)
def test_claims_share_the_slot_of_their_list_or_the_list_is_refused(name: str) -> None:
    # Given any name of a list
    with suppress(BadStartUrls):
        # When the keys of its claims are made
        claims = keys.claims(name, "crawl")
        # Then their slot is the list's, and neither is the list
        assert {_slot(key) for key in claims} == {_slot(name)}
        assert len({*claims, name}) == 3


@pytest.mark.parametrize("name", ["quotes", "a:b", "ein-käfer", "x" * 100, "a.b/c%20"])
def test_usual_names_are_taken(name: str) -> None:
    # Given a name without spaces and braces
    # When its keys are made
    # Then they begin with it
    assert keys.meta(name) == f"{{{name}}}:meta"


def test_claims_of_two_crawls_and_of_two_lists_are_kept_apart() -> None:
    # Given two lists and two crawls
    # When the keys of their claims are made
    made = [key for urls in ("start_urls", "{a}:b") for name in ("x", "y") for key in keys.claims(urls, name)]
    # Then no two are the same
    assert len(set(made)) == 8
