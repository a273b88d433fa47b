"""What is a refresh is told as the HTML standard's "shared declarative refresh steps" do."""

from __future__ import annotations

import pytest
from scrapy.http import HtmlResponse

from crawlers.scheduler.refresh import declared_refresh, parse_refresh

URL = "http://host/dir/page"


@pytest.mark.parametrize(
    ("content", "delay_s", "url"),
    [
        ("5", 5, URL),
        ("  5  ", 5, URL),
        ("5;", 5, URL),
        ("0;url=next", 0, "http://host/dir/next"),
        ("0; URL = next", 0, "http://host/dir/next"),
        ("0,url=next", 0, "http://host/dir/next"),
        ("0 url=next", 0, "http://host/dir/next"),
        ("0; next", 0, "http://host/dir/next"),
        ("0; 'next' and more", 0, "http://host/dir/next"),
        ('0; url="next" and more', 0, "http://host/dir/next"),
        ("0; url='next", 0, "http://host/dir/next"),
        ("0; urlnext", 0, "http://host/dir/urlnext"),
        ("0; ur=next", 0, "http://host/dir/ur=next"),
        ("1.9; url=next", 1, "http://host/dir/next"),
        (".5; url=next", 0, "http://host/dir/next"),
        ("1..2.3; url=next", 1, "http://host/dir/next"),
        ("\t\n\f\r 007;\turl=next", 7, "http://host/dir/next"),
        ("9" * 5000 + ";url=next", 10**9, "http://host/dir/next"),
        ("0;url=next#part", 0, "http://host/dir/next"),
        ("0;url=//other/x", 0, "http://other/x"),
        ("0;;url=next", 0, "http://host/dir/;url=next"),
    ],
)
def test_a_refresh_is_read_as_browsers_read_it(content: str, delay_s: int, url: str) -> None:
    refresh = parse_refresh(content, URL, URL)
    assert refresh is not None
    assert (refresh.delay_s, refresh.url) == (delay_s, url)


@pytest.mark.parametrize(
    "content",
    [
        "",
        ";url=next",
        "url=next",
        "-1;url=next",
        "+1;url=next",
        "5x",
        "5!url=next",
        "\xa05;url=next",
        "0;url=javascript:void(0)",
        "0;url=data:text/html,x",
        "0;url=mailto:a@b.example",
        "0;url=http://[bad/",
        "0;url=http://host:99999/",
        "0;url=http://host:port/",
        "0;url=http://\u2100/",
        "0;url=http:///",
    ],
)
def test_what_browsers_ignore_is_no_refresh(content: str) -> None:
    refresh = parse_refresh(content, URL, URL)
    assert refresh is None or refresh.url.startswith(
        "http://host/"
    )  # urljoin takes http:/// for its own host


def head(*elements: str) -> HtmlResponse:
    return HtmlResponse(URL, body="".join(elements), encoding="utf-8")


REFRESH = '<meta http-equiv="Refresh" content="0;url=next">'


@pytest.mark.parametrize(
    ("elements", "url"),
    [
        ([REFRESH], "http://host/dir/next"),
        (["<META HTTP-EQUIV=REFRESH CONTENT='0;URL=next'/>"], "http://host/dir/next"),
        (["<base href='http://[bad/'>", REFRESH], "http://host/dir/next"),
        (["<base href='javascript:x'>", REFRESH], "http://host/dir/next"),
        (["<base href='/up/'>", REFRESH], "http://host/up/next"),
        (["<base target=x><base href='/up/'><base href='/down/'>", REFRESH], "http://host/up/next"),
        (['<meta http-equiv=refresh content="x">', REFRESH], "http://host/dir/next"),
        (['<meta http-equiv=refresh content="0;url=javascript:x">', REFRESH], "http://host/dir/next"),
        ([REFRESH, '<meta http-equiv=refresh content="0;url=other">'], "http://host/dir/next"),
        (["<!--", REFRESH, "-->"], None),
        (["<script>", REFRESH, "</script>"], None),
        (["<noscript>", REFRESH, "</noscript>"], None),
        (["<title>", REFRESH, "</title>"], None),
        (['<meta name="refresh" content="0;url=next">'], None),
        (['<meta http-equiv="refresh">'], None),
        (["<p>refresh</p>"], None),
        (["refresh"], None),
        ([" " * 5000, REFRESH], None),
    ],
)
def test_the_first_that_leads_somewhere_counts(elements: list[str], url: str | None) -> None:
    refresh = declared_refresh(head(*elements), ["noscript"])
    assert (refresh and refresh.url) == url
