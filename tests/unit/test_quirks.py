"""What browsers ignore in a page raises nothing in any spider."""

from __future__ import annotations

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse, Response, TextResponse
from scrapy.linkextractors import LinkExtractor

from crawlers.scheduler.quirks import Quirks

URL = "http://host/dir/page"
TEXT = "<meta charset='{}'><p>caf\u00e9</p><a href='next'>x</a>"

NOT_OF_TEXT = [
    *("base64", "hex", "rot13", "zip", "bz2", "uu", "quopri", "idna", "punycode", "undefined"),
    *("unicode_escape", "raw_unicode_escape"),
]


def seen(response: Response) -> Response:
    return Quirks().process_response(Request(response.url), response)


def page(
    body: bytes, content_type: str = "text/html", kind: type[TextResponse] = HtmlResponse
) -> TextResponse:
    response = kind(URL, body=body, headers={"Content-Type": content_type}, request=Request(URL))
    return seen(response)  # type: ignore[return-value]


@pytest.mark.parametrize("codec", NOT_OF_TEXT)
def test_a_declared_encoding_that_is_none_of_text_is_passed_over(codec: str) -> None:
    # By the header, by the page, by both
    by_header = page(TEXT.format("latin-1").encode("latin-1"), f"text/html; charset={codec}")
    by_page = page(TEXT.format(codec).encode(), "text/html")
    by_both = page(TEXT.format(codec).encode(), f"text/html; charset={codec}")
    neither = page(TEXT.format(codec).encode("latin-1"))
    for response in (by_header, by_page, by_both, neither):
        assert response.css("p::text").get() == "caf\u00e9"
        assert [request.url for request in response.follow_all(css="a")] == ["http://host/dir/next"]
        assert [link.url for link in LinkExtractor().extract_links(response)] == ["http://host/dir/next"]
        assert response.request is not None


def test_text_that_is_no_html_is_decoded_as_well() -> None:
    response = page("caf\u00e9".encode(), "text/plain; charset=base64", TextResponse)
    assert response.text == "caf\u00e9"


@pytest.mark.parametrize(
    "href",
    [
        *("http://[bad/", "http://host:99999/", "http://host:port/", "http://\u2100/"),
        *("javascript:x", "data:text/html,x", "mailto:a@b.example", "about:blank", "", "\x00"),
    ],
)
def test_a_base_that_is_no_address_of_a_page_is_passed_over(href: str) -> None:
    response = page(f"<base href='{href}'><a href='next'>x</a>".encode())
    assert [request.url for request in response.follow_all(css="a")] == ["http://host/dir/next"]
    assert [link.url for link in LinkExtractor().extract_links(response)] == ["http://host/dir/next"]
    assert response.urljoin("/up") == "http://host/up"


def test_what_is_well_stays_as_it_is() -> None:
    for response in (
        HtmlResponse(URL, body=b"<base href='/up/'>", headers={"Content-Type": "text/html; charset=latin-1"}),
        HtmlResponse(URL, body="caf\u00e9".encode("utf-16")),
        TextResponse(URL, body=b"{}"),
        Response(URL, body=b"\x00"),
    ):
        assert seen(response) is response
    assert page(b"<base href='/up/'>").urljoin("next") == "http://host/up/next"


def test_a_large_page_has_the_selectors_of_a_small_one() -> None:
    # Given a page of more than 100 KB with an element that is crowded, and a bad base
    crowd = " ".join(f"a{number}=b" for number in range(20_000))
    body = f"<base href='http://[bad/'><p id=x {crowd}>caf\u00e9</p><a href='next'>x</a>".encode("latin-1")
    # When it is seen by a spider
    response = page(body, "text/html; charset=latin-1")
    # Then it reads as ever, but for attributes beyond the 256th
    assert response.body == body
    assert response.css("p::text").get() == "caf\u00e9"
    assert len(response.css("p")[0].attrib) == 256
    assert [request.url for request in response.follow_all(css="a")] == ["http://host/dir/next"]
    assert [link.url for link in LinkExtractor().extract_links(response)] == ["http://host/dir/next"]
