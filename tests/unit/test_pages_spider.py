"""What the pages spider makes of a page, and which of its links it follows."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scrapy import Request
from scrapy.http import HtmlResponse, Response, TextResponse, XmlResponse

from crawlers.items import Page, validate
from crawlers.links import Links, absolute
from crawlers.spiders.arguments import BadArgument
from crawlers.spiders.htmlpage import HtmlPage, host_port, page_links
from crawlers.spiders.pages import PagesSpider

URL = "http://host/dir/page?x=1"


def page(body: str | bytes, content_type: str = "text/html", **options: Any) -> HtmlResponse:
    """A page as it comes from the net."""
    content = body.encode() if isinstance(body, str) else body
    request = Request(options.get("url", URL), meta=options.pop("meta", {}))
    headers = {"Content-Type": content_type}
    return HtmlResponse(**{"url": URL, **options}, body=content, headers=headers, request=request)


def links_of(body: str | bytes, content_type: str = "text/html") -> list[str]:
    """The links of a page."""
    return page_links(page(body, content_type))


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("next", "http://host/dir/next"),
        ("/next", "http://host/next"),
        ("?y=2", "http://host/dir/page?y=2"),
        ("../../up", "http://host/up"),
        ("//other/x", "http://other/x"),
        ("HTTPS://Other:443/x", "https://other:443/x"),
        (" \n/next\t ", "http://host/next"),
        ("/ne\nxt", "http://host/next"),
        ("/next#part", "http://host/next"),
        ("/a b", "http://host/a%20b"),
        ("/ü?q=ü", "http://host/%C3%BC?q=%C3%BC"),
        ("/%C3%BC", "http://host/%C3%BC"),
        ("/100%", "http://host/100%"),
        ("/a&amp;b", "http://host/a&b"),
        ("http://ü.example/", "http://xn--tda.example/"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("/" + "x" * 5000, "http://host/" + "x" * 5000),
    ],
)
def test_a_link_is_given_as_it_will_be_fetched(href: str, url: str) -> None:
    assert links_of(f'<a href="{href}">x</a>') == [url]
    assert Request(url).url == url


@pytest.mark.parametrize(
    "href",
    [
        "javascript:void(0)",
        "JavaScript:x",
        "mailto:a@b.example",
        "tel:+123",
        "data:text/html,x",
        "ftp://host/x",
        "http://[bad",
        "http://host:port/",
        "http://host:99999/",
        "https:///",
        "http://\u2100/",
    ],
)
def test_a_link_to_nothing_that_can_be_fetched_is_left_out_and_harms_no_other(href: str) -> None:
    assert links_of(f'<a href="{href}">x</a><a href="/ok">y</a>') == ["http://host/ok"]


def test_a_page_linked_several_times_is_given_once_in_its_first_place() -> None:
    body = "<a href=/a><a href=/b><a href='/a#1'><a href=http://host/a><area href=/c><a href='/b '>"
    assert links_of(body) == ["http://host/a", "http://host/b", "http://host/c"]


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("<base href='/up/'>", "http://host/up/next"),
        ("<base href='http://other/up/'>", "http://other/up/next"),
        ("<base target=_blank><base href=/up/><base href=/no/>", "http://host/up/next"),
        ("<base href='http://[bad'>", "http://host/dir/next"),
        ("<base href='javascript:x'>", "http://host/dir/next"),
        ("x" * 10_000 + "<base href=/up/>", "http://host/up/next"),
    ],
)
def test_links_are_relative_to_the_base_of_the_page(base: str, url: str) -> None:
    assert links_of(f"{base}<a href=next>x</a>") == [url]


@pytest.mark.parametrize(
    "body",
    [
        "<p><a href=/0>x</a></html><a href=/1>y</a>",
        "<html><body><a href=/0>x</a></body></html>\n<p><a href=/1>y</a>",
        "<a href=/0>x</a></HTML ><a href=/1>y</a>",
        "</html><a href=/0>x</a></html><html><body><a href=/1>y</a></html>",
        "<html><a href=/0>x</a><frameset></html><frame></frameset><a href=/1>y</a>",
        "<table><tr><a href=/0>x</a></table></b></i><a href=/1",
        "<a href=/0><a href=/1><<<&&& <p <b>",
        "<script>'</html>'</script><a href=/0></a><!-- </html> --><a href=/1></a>",
        "<!doctype html><title></html></title><a href=/0></a><a href=/1></a>",
        "<svg><a href=/0></a></svg></html><template><a href=/1></a></template>",
        "\x00<a href=/0>\x00<a href=/1>",
    ],
)
def test_links_are_found_in_whatever_markup(body: str) -> None:
    found = links_of(body + ("" if "/1>" in body else ">x</a>"))
    assert found == ["http://host/0", "http://host/1"]


MARKUP = st.sampled_from(
    [
        "<html>", "</html>", "</HTML\n>", "<body>", "</body>", "<head>", "</head>", "text", "&", "\0",
        "<p>", "</p>", "<div>", "</div>", "<!-- c -->", "<!doctype html>", "<table>", "</table>",
        "<tr>", "<ul><li>", "</ul>", "<form>", "<select>", "<br/>", "</br>", "<frameset>",
        "</frameset>", "<noscript>", "<svg>", "</svg>", "<?php x ?>", "<style>a</style>", "<b>",
        "<script>1</script>", "<title>t</title>", "<object>", "<math>", "<template>", "<option>",
    ]
)  # fmt: skip


@given(st.lists(MARKUP, max_size=12))
@settings(max_examples=400, deadline=None)
def test_no_markup_between_links_hides_one(pieces: list[str]) -> None:
    body = "".join(f"{piece}<a href=/{i}>x</a>" for i, piece in enumerate(pieces))
    assert links_of(body) == [f"http://host/{i}" for i in range(len(pieces))]


@given(st.text() | st.text(alphabet="htps:/[]@?#%.\\ü\ud800 \t0a"))
@settings(max_examples=400, deadline=None)
def test_no_href_raises_and_each_link_can_be_requested(href: str) -> None:
    url = absolute(URL, href)
    assert url is None or host_port(Request(url).url)[0]


@given(st.from_regex(r"(/[ab._~-]*)*(\?[ab=&.]*)?", fullmatch=True))
@settings(max_examples=400, deadline=None)
def test_a_plain_path_leads_where_every_other_link_would(href: str) -> None:
    url = absolute(URL, href)
    assert links_of(f'<a href="{href}">x</a>') == ([url] if url else [])


@given(st.binary(max_size=300), st.sampled_from(["", "utf-8", "utf-16", "shift_jis", "hex", "idna"]))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(body: bytes, charset: str) -> None:
    html = HtmlPage(page(body, f"text/html; charset={charset}"))
    validate_parts = (html.title(), html.text_length(), html.links())
    assert validate_parts[1] >= 0


@pytest.mark.parametrize(
    ("charset", "declared"),
    [
        ("utf-16", "text/html"),
        ("utf-16", "text/html; charset=utf-16"),
        ("utf-16-le", "text/html; charset=utf-16le"),
        ("utf-8", "text/html; charset=utf-8"),
        ("utf-8", "text/html; charset=no-such"),
        ("utf-8", "text/html; charset=hex"),
        ("utf-8", "text/html; charset=rot13"),
        ("utf-8", "text/html; charset=undefined"),
        ("utf-8", "text/html"),
    ],
)
def test_a_link_is_encoded_in_utf_8_on_pages_of_utf_8_and_utf_16(charset: str, declared: str) -> None:
    body = "<title>Grüße</title><a href='/ü?q=ü'>weiter</a>".encode(charset)
    response = page(body, declared)
    assert page_links(response) == ["http://host/%C3%BC?q=%C3%BC"]
    assert HtmlPage(response).title() == "Grüße"


def test_a_query_is_encoded_as_its_page_is() -> None:
    body = "<a href='/ü?q=ü&amp;e=&#8364;'>weiter</a>".encode("latin-1")
    assert links_of(body, "text/html; charset=latin-1") == ["http://host/%C3%BC?q=%FC&e=%80"]


def test_bytes_that_are_not_of_the_declared_encoding_hide_no_link() -> None:
    assert links_of(b"<a href=/0>\xff\xfe\xff</a><a href=/1>", "text/html; charset=utf-8") == [
        "http://host/0",
        "http://host/1",
    ]


def test_text_is_counted_without_scripts_and_with_whitespace_collapsed() -> None:
    body = "<title>no</title><style>no</style><p>one\n  <b>two</b> <script>no()</script>  three</p>"
    assert HtmlPage(page(body)).text_length() == len("one two three")


@pytest.mark.parametrize(
    ("body", "title"),
    [
        ("<title> A\n title </title><title>no</title>", "A title"),
        ("<p>x<title>late &amp; odd</title>", "late & odd"),
        ("<title></title>", ""),
        ("<title>never closed", "never closed"),
        ("<h1>none</h1>", None),
        ("", None),
        ("<!-- only this -->", None),
    ],
)
def test_the_title_is_that_of_the_first_title_element(body: str, title: str | None) -> None:
    assert HtmlPage(page(body)).title() == title


@pytest.mark.parametrize(
    "response",
    [
        Response(URL, body=b"<a href=/x>"),
        TextResponse(URL, body=b"<a href=/x>", headers={"Content-Type": "text/plain"}),
        XmlResponse(URL, body=b"<rss><a href='/x'/></rss>"),
    ],
)
def test_what_is_not_html_has_no_links_no_title_and_no_text(response: Response) -> None:
    html = HtmlPage(response)
    assert (html.links(), html.title(), html.text_length()) == ([], None, 0)


@pytest.mark.parametrize(
    "body", ["</html " * 100_000, "<" * 100_000, "<a href=/x>" * 30_000, "<b>" * 100_000]
)
def test_a_hostile_page_takes_less_than_a_second_for_each_100_kb(body: str) -> None:
    began_s = time.process_time()
    links_of(body)
    assert time.process_time() - began_s < max(1, len(body) / 100_000)


def parsed(response: Response, **arguments: str) -> tuple[Page, list[str]]:
    """What the spider makes of a response: its item and the URLs it follows."""
    item, *followed = PagesSpider(**arguments).parse(response)
    assert isinstance(item, Page)
    return item, [url for links in followed if isinstance(links, Links) for url in links.urls]


def test_a_page_too_large_to_be_parsed_is_stored_without_its_links_and_becomes_a_dead_letter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spider, response = PagesSpider(), page(f"<title>T</title>text{LINKS}")
    spider.most_parsed_bytes = len(response.body) - 1
    item, links = spider.parse(response)  # type: ignore[misc]
    assert (item.url, item.title, item.text_length, item.links) == (URL, None, 0, 0)
    assert links.urls == []
    assert f"{len(response.body)} bytes, more than PAGES_MAX_PARSED_BYTES" in links.set_aside[URL]
    assert URL in caplog.text


@pytest.mark.parametrize("most", [0, 10_000], ids=["no limit", "just as large"])
def test_a_page_within_the_limit_is_parsed(most: int) -> None:
    spider = PagesSpider()
    spider.most_parsed_bytes = most
    item, _ = spider.parse(page("<title>T</title>".ljust(10_000)))  # type: ignore[misc]
    assert item.title == "T"


def test_a_text_that_is_not_parsed_anyway_is_no_dead_letter() -> None:
    spider = PagesSpider()
    spider.most_parsed_bytes = 1
    _, links = spider.parse(TextResponse(URL, body=b"long", request=Request(URL)))  # type: ignore[misc]
    assert links.set_aside == {}


def test_large_pages_are_parsed_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    spider, one, most = PagesSpider(), threading.Lock(), []
    spider.most_loop_bytes = 1

    def read(response: Response) -> tuple[Page, Links]:
        most.append(one.acquire(blocking=False))
        time.sleep(0.01)
        one.release()
        return PagesSpider._read(spider, response)

    async def pages() -> int:
        outputs = spider.parse(page("<title>T</title>"))
        assert isinstance(outputs, AsyncIterator)
        return len([output async for output in outputs if isinstance(output, Page)])

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(pages() for _ in range(4)))

    monkeypatch.setattr(spider, "_read", read)
    assert asyncio.run(all_at_once()) == [1] * 4
    assert most == [True] * 4


LINKS = "<a href=/a><a href=http://HOST:80/b><a href=http://host:8080/c><a href=http://other/d>"


def test_a_page_is_described_and_its_links_on_the_same_host_and_port_are_followed() -> None:
    response = page(f"<title>T</title>text{LINKS}", "Text/HTML; charset=utf-8", meta={"depth": 2})
    assert response.request is not None
    response.request.headers["Referer"] = "http://host/before"
    item, followed = parsed(response)
    validate(item)
    assert (item.url, item.status, item.title, item.text_length) == (URL, 200, "T", 4)
    assert (item.links, item.content_type) == (4, "text/html")
    assert (item.depth, item.referrer) == (2, "http://host/before")
    assert item.fetched_at.tzinfo is not None
    assert followed == ["http://host/a", "http://host:80/b"]


@pytest.mark.parametrize(
    ("arguments", "followed"),
    [
        ({"follow": "none"}, []),
        ({"allow": "/a$"}, ["http://host/a"]),
        ({"deny": "/a$"}, ["http://host:80/b"]),
        ({"allow": "host", "deny": "host"}, []),
        ({"depth": "3"}, ["http://host/a", "http://host:80/b"]),
        ({"depth": "2"}, []),
    ],
)
def test_arguments_say_which_links_are_followed(arguments: dict[str, str], followed: list[str]) -> None:
    assert parsed(page(LINKS, meta={"depth": 2}), **arguments)[1] == followed


@pytest.mark.parametrize(
    ("asked", "went_on"),
    [
        ("http://host/old", True),
        ("https://host/old", True),
        ("http://www.host/old", True),
        ("http://other/old", False),
        ("http://host:8080/old", False),
    ],
)
def test_a_page_that_redirected_to_another_host_is_kept_but_not_followed(asked: str, went_on: bool) -> None:
    response = page("<a href=/a>", meta={"redirect_urls": [asked, "http://between/"]})
    item, followed = parsed(response)
    assert item.url == URL
    assert bool(followed) == went_on


@pytest.mark.parametrize(("status", "went_on"), [(200, True), (300, True), (404, False)])
def test_an_error_page_is_kept_but_not_followed(status: int, went_on: bool) -> None:
    item, followed = parsed(page("<a href=/a>", status=status))
    assert item.status == status
    assert item.links == 1
    assert bool(followed) == went_on


def test_several_starts_are_separated_by_commas_or_whitespace() -> None:
    spider = PagesSpider(url="http://a/x,http://b/?q=1,2 \n https://c:8443,, http://d/")
    assert spider.start_urls == ["http://a/x", "http://b/?q=1,2", "https://c:8443", "http://d/"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"url": "example.com"}, "-a url=example.com: write it out, such as http://example.com/"),
        ({"url": "ftp://example.com/"}, "-a url=ftp://example.com/: write it out"),
        ({"url": "http://[bad"}, "-a url=http://[bad: write it out"),
        ({"url": "http://a:99999/"}, "-a url=http://a:99999/: write it out"),
        ({"follow": "all"}, "-a follow=all: it must be host or none"),
        ({"allow": "("}, "-a allow=(: not a regular expression, missing )"),
        ({"deny": "*"}, "-a deny=*: not a regular expression, nothing to repeat"),
        ({"depth": "-1"}, "-a depth=-1: it must be a whole number, 0 or more"),
        ({"depth": "two"}, "-a depth=two: it must be a whole number, 0 or more"),
    ],
)
def test_a_bad_argument_is_named_with_what_it_may_be(arguments: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadArgument) as caught:
        PagesSpider(**arguments)
    assert str(caught.value).startswith(sentence)
