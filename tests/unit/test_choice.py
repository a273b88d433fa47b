"""Patterns of users meet URLs of sites: none takes for ever, and no URL is lost by one that would."""

from __future__ import annotations

import time

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse

from crawlers.links import Links
from crawlers.spiders.arguments import pattern
from crawlers.spiders.choice import Choice
from crawlers.spiders.pages import PagesSpider

SLOW = ["(a+)+$", "(a|aa)+$", "([a-z]+)*[0-9]", "(?:.*a){25}b"]  # the last: long, but not too long on one
EVIL = "http://host/" + "a" * 3000 + "!"


@pytest.mark.parametrize("name", ["allow", "deny"])
@pytest.mark.parametrize("text", SLOW)
def test_a_pattern_that_backtracks_for_ever_is_told_with_the_url_and_holds_no_other(
    name: str, text: str
) -> None:
    # Given a pattern with catastrophic backtracking, and URLs made for it amid good ones
    choice = Choice(*(pattern(name, text) if each == name else None for each in ("allow", "deny")))
    evil = [f"{EVIL}{number}!" for number in range(300)]
    # When a page leads to all of them
    before = time.process_time()
    wanted, untold = choice.of(["http://host/x", *evil])
    # Then it is given up within a second, and each URL is wanted or said to be left out, and why
    assert time.process_time() - before < 1.5
    assert len(wanted) + len(untold) <= 301
    assert set(untold) <= set(evil)
    assert untold
    assert all(f"-a {name}={text} " in why for why in untold.values())


def test_patterns_mean_what_they_mean_in_python() -> None:
    choice = Choice(pattern("allow", r"/(?!private)[a-z]+/(\d+)$"), pattern("deny", r"(\d)\1"))
    urls = [f"http://host/{path}" for path in ("book/12", "book/11", "private/12", "book/x")]
    assert choice.of(urls) == (["http://host/book/12"], {})


def test_pages_sets_aside_what_its_patterns_can_not_tell() -> None:
    # Given a page with a link that the pattern can't tell, and one that it can
    spider = PagesSpider(url="http://host/", deny="(a+)+$")
    body = f"<a href='{EVIL}'>x</a><a href='/b'>y</a>".encode()
    request = Request("http://host/")
    # When it is read
    _, links = spider.parse(HtmlResponse("http://host/", body=body, request=request))  # type: ignore[misc]
    # Then one is followed and the other becomes a dead letter with the reason
    assert isinstance(links, Links)
    assert links.urls == ["http://host/b"]
    assert list(links.set_aside) == [EVIL]
