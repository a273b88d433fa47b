"""What the quotes spider makes of a listing, and where it starts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse, Response
from scrapy.utils.test import get_crawler

from crawlers.items import Quote
from crawlers.links import Links
from crawlers.spiders.arguments import BadArgument
from crawlers.spiders.quotes import QuotesSpider

URL = "http://host:8000/page/1/"

LISTING = """
<div class="quote">
  <span class="text">“Stay.”</span>
  <span>by <small class="author">Ada</small> <a href="/author/Ada">(about)</a></span>
  <div class="tags">Tags: <a class="tag" href="/tag/short/page/1/">short</a>
    <a class="tag" href="/tag/dog/page/1/">dog</a></div>
</div>
<div class="quote"><span class="text">“Untagged.”</span></div>
<nav><ul><li class="previous"><a href="/page/0/">back</a></li>
  <li class="next"><a href="/page/2/">Next</a></li></ul></nav>
<a class="tag" href="http://host:9000/tag/elsewhere/">other port</a>
<a class="tag" href="http://[bad">no address</a>
"""


def parsed(body: str) -> list[Quote | Links]:
    """What the spider makes of a page."""
    return list(QuotesSpider().parse(HtmlResponse(URL, body=body.encode())))


def starts(settings: dict[str, Any] | None = None, **arguments: str) -> list[Request]:
    """The requests that the spider starts with."""

    async def scenario() -> list[Request]:
        spider = QuotesSpider.from_crawler(get_crawler(settings_dict=settings), **arguments)
        return [request async for request in spider.start()]

    return asyncio.run(scenario())


def test_each_quote_of_a_listing_is_an_item() -> None:
    quotes = [found for found in parsed(LISTING) if isinstance(found, Quote)]
    assert quotes == [
        Quote("“Stay.”", "Ada", ["short", "dog"], URL),
        Quote("“Untagged.”", None, [], URL),  # type: ignore[arg-type]  # validation sets it aside
    ]


def test_next_pages_and_tags_on_the_same_host_are_followed() -> None:
    (links,) = [found for found in parsed(LISTING) if isinstance(found, Links)]
    assert links.urls == [
        "http://host:8000/tag/short/page/1/",
        "http://host:8000/tag/dog/page/1/",
        "http://host:8000/page/2/",
    ]


def test_what_is_not_html_holds_no_quotes() -> None:
    assert list(QuotesSpider().parse(Response(URL, body=b"\0"))) == []


def test_it_starts_at_quotes_toscrape_com_unless_told_otherwise() -> None:
    (request,) = starts()
    assert request.url == "http://quotes.toscrape.com/"
    assert request.dont_filter


@pytest.mark.parametrize("idle_s", [0, 60, "0"])
def test_it_starts_with_nothing_of_its_own_while_it_waits_for_pushed_urls(idle_s: object) -> None:
    assert starts({"MAX_IDLE_TIME_BEFORE_CLOSE": idle_s}) == []


def test_a_url_of_the_user_s_is_the_start_whether_it_waits_or_not() -> None:
    for settings in ({}, {"MAX_IDLE_TIME_BEFORE_CLOSE": 60}):
        assert [request.url for request in starts(settings, url=URL)] == [URL]


def test_a_url_that_is_none_is_named() -> None:
    with pytest.raises(BadArgument, match="-a url=host:8000: write it out"):
        QuotesSpider(url="host:8000")


def test_it_reads_the_list_of_start_urls() -> None:
    assert QuotesSpider.redis_key == "start_urls"
