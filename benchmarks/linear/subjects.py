"""The functions that see what a site sends, each as it is called in a crawl."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from protego import Protego
from scrapy import Request
from scrapy.http import HtmlResponse, Response
from scrapy.http.cookies import CookieJar
from scrapy.linkextractors import LinkExtractor
from scrapy.utils.sitemap import Sitemap
from w3lib.encoding import http_content_type_encoding

from benchmarks.linear.shapes import HEADERS, HTML, ROBOTS, SITEMAPS, URLS, Shape
from crawlers.links import Links, absolute, origin
from crawlers.scheduler.fingerprints import fingerprint_of_url
from crawlers.scheduler.quirks import Quirks
from crawlers.scheduler.refresh import declared_refresh, parse_refresh
from crawlers.scheduler.turns import retry_after_s
from crawlers.spiders.arguments import pattern
from crawlers.spiders.choice import Choice
from crawlers.spiders.htmlpage import HtmlPage, host_port
from crawlers.spiders.quotes import QuotesSpider

URL = "http://host/dir/page"
# What a library takes more than linear time for, and what of it is bounded before: bytes.
MOST_ROBOTS = 500 * 1024  # crawlers.scheduler.robots reads no more
MOST_HEADER = 64 * 1024  # clients take no longer lines


@dataclass(frozen=True, slots=True)
class Subject:
    """`work` is called with what a `shape` makes; beyond `most` bytes it sees the first of them only."""

    name: str
    shapes: Mapping[str, Shape]
    work: Callable[[str], object]
    most: int | None = None


def page(text: str, content_type: str = "text/html; charset=utf-8") -> HtmlResponse:
    """A page as it comes to a spider."""
    request, body = Request(URL), text.encode(errors="surrogateescape")
    response = HtmlResponse(URL, body=body, headers={"Content-Type": content_type}, request=request)
    return Quirks().process_response(request, response)  # type: ignore[return-value]


def _read(text: str) -> None:
    html = HtmlPage(page(text))
    html.links()
    html.title()
    html.text_length()


def _before_the_spider(text: str) -> None:
    declared_refresh(page(text))


def _url(text: str) -> None:
    url = absolute(URL, text)
    host_port(text)
    origin(text)
    parse_refresh(f"0;url={text[:4096]}", URL, URL)
    if url is not None:
        fingerprint_of_url(Request(url).url)


def _robots(text: str) -> None:
    rules = Protego.parse(text)
    rules.can_fetch("http://host/" + "a" * 2000, "agent")
    rules.crawl_delay("agent")
    list(rules.sitemaps)


def _sitemap(text: str) -> None:
    list(Sitemap(text.encode()))


def _cookies(text: str) -> None:
    jar, request = CookieJar(), Request(URL)
    response = Response(URL, headers={"Set-Cookie": text})
    for cookie in jar.make_cookies(response, request):
        jar.set_cookie_if_ok(cookie, request)
    jar.add_cookie_header(request)


def _headers(text: str) -> None:
    retry_after_s(text.encode(), time.time())
    http_content_type_encoding(text)
    parse_refresh(text, URL, URL)


_PATTERNS = Choice(pattern("allow", "(a+)+$"), pattern("deny", "/archive/"))


def _chosen(text: str) -> None:
    _PATTERNS.of(f"{URL}/{text[at : at + 40]}" for at in range(0, len(text), 40))


SUBJECTS = (
    Subject("pages: links, title, text", HTML, _read),
    Subject("refresh, base, encoding", HTML, _before_the_spider),
    Subject("Links.of", HTML, lambda text: Links.of(page(text), css="a")),
    Subject("quotes", HTML, lambda text: list(QuotesSpider().parse(page(text)))),
    Subject("text, no encoding declared", HTML, lambda text: page(text + "\udcff", "text/html").text),
    Subject("a link", URLS, _url),
    Subject("allow and deny", URLS, _chosen),
    Subject("robots.txt", ROBOTS, _robots, MOST_ROBOTS),
    Subject("sitemap", SITEMAPS, _sitemap),
    Subject("Retry-After, Content-Type, Refresh", HEADERS, _headers, MOST_HEADER),
    Subject("Set-Cookie", HEADERS, _cookies, MOST_HEADER),
)


def link_extractor(text: str) -> None:
    """Scrapy's own, which a user's spider may call."""
    LinkExtractor().extract_links(page(text))
