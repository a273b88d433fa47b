"""Links are what the requests would be that a spider could yield in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scrapy import Request, Spider
from scrapy.http import HtmlResponse, TextResponse, XmlResponse
from scrapy.linkextractors import LinkExtractor
from scrapy.utils.request import RequestFingerprinter, fingerprint

from crawlers.frontier import NotPlainData, decode
from crawlers.links import Links
from crawlers.scheduler.fingerprints import fingerprint_of, fingerprint_of_url
from crawlers.scheduler.requests import RequestCodec

URL = "http://host:8000/dir/page"
PLENTY = 1_000_000

# What is plain in a URL, and all that isn't.
ODD_HOSTS = (
    "127.0.0.1:8766 host:80 host:080 host:65535 host:99999 host: user:pw@host [::1]:80 ü.example"
    f" xn--tda.example {'a' * 70}.example HOST a..b 0x7f.1"
)
HOSTS = st.text(alphabet="aAz09.-", min_size=1, max_size=12) | st.sampled_from(ODD_HOSTS.split())
RESTS = st.text(alphabet="/aB9._~-?=&%+;,#é\\ 2e:@|'\"\ud800[]!$()*\t\n", max_size=25)
URLS = (
    st.builds(
        "{}://{}{}".format,
        st.sampled_from(["http", "https", "HTTP", "ftp", "data"]),
        HOSTS,
        RESTS | st.just(""),
    )
    | st.from_regex(r"http://h(/[a.~-]*)*(\?[a=&.]*)?", fullmatch=True)
    | st.text(max_size=20)
)
BODIES = st.sampled_from([b"", b"x"])


def requested(url: str, **options: Any) -> Request | None:
    """The request of `url`, where one can be made."""
    try:
        return Request(url, **options)
    except ValueError:
        return None


@given(URLS)
@example("http://h/./a")
@example("http://h/a//b")
@example("http://h/?b=1&a=2")
@example("http://h/?a=1&a")
@example("http://h/?a=~")
@example("http://h:8766/graph/3874")
@example("http://h:60000/")
@example("http://h/a;b=c")
@settings(max_examples=1500, deadline=None)
def test_the_fingerprint_of_a_link_is_that_of_its_request(url: str) -> None:
    # Given any URL of which a request can be made
    request = requested(url)
    if request is not None:
        # When its fingerprint is worked out without one, before or after the request has encoded it
        found = {fingerprint_of_url(url), fingerprint_of_url(request.url)}
        # Then it is the one that Scrapy gives the request
        assert found == {fingerprint_of(fingerprint(request))}


class Walker(Spider):
    """A spider with callbacks."""

    name = "walker"

    def book(self, response: Any) -> None:
        """A callback."""


def codec(spider: Spider | None = None, fingerprinter: Any = None, max_bytes: int = PLENTY) -> RequestCodec:
    """What a worker turns requests into links with."""
    return RequestCodec(spider or Walker(), fingerprinter or RequestFingerprinter(), print, max_bytes)


@given(URLS, st.sampled_from(["GET", "POST", "get"]), BODIES, st.booleans(), st.booleans())
@settings(max_examples=500, deadline=None)
def test_a_request_is_known_by_what_scrapy_says_of_it(
    url: str, method: str, body: bytes, verbatim: bool, dont_filter: bool
) -> None:
    # Given any request
    options = {"method": method, "body": body, "meta": {"verbatim_url": verbatim}, "dont_filter": dont_filter}
    request = requested(url, **options)
    if request is not None:
        # When its fingerprint is asked for
        found = codec().fingerprint(request)
        # Then it follows from Scrapy's, unless it isn't to be deduplicated
        assert found == (None if dont_filter else fingerprint_of(fingerprint(request)))


def test_a_fingerprinter_of_the_users_is_asked_for_each_request() -> None:
    # Given one to which all requests are the same
    class Same(RequestFingerprinter):
        def fingerprint(self, request: Request) -> bytes:
            return request.method.encode()

    # When requests are told apart by it
    own = codec(fingerprinter=Same())
    # Then none of Scrapy's ways is taken
    assert not own.is_scrapys
    assert own.fingerprint(Request("http://a/1")) == own.fingerprint(Request("http://a/2"))


@given(
    st.lists(st.from_regex(r"http://host:8000/[A-Za-z0-9._~/-]{0,30}(\?[a-z=&+]{0,9})?", fullmatch=True)),
    st.integers(-9, 9),
    st.dictionaries(st.sampled_from(["depth", "http://host:8000/"]), st.integers() | st.text(max_size=5)),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_a_copy_of_a_link_is_what_its_own_request_would_have_been(
    urls: list[str], priority: int, meta: dict[str, Any], named: bool
) -> None:
    # Given links of one page to one origin, and a stencil of the first
    spider = Walker()
    own = codec(spider)
    callback = spider.book if named else None
    links = Links(urls, callback, priority=priority, meta=meta, cb_kwargs=meta)
    requests = [request.replace(headers={"Referer": URL}) for request in links.requests()]
    for request in requests:
        # When each is made with it
        found = own.stencil(requests[0]).found(request.url, 7)
        # Then it is the same to the last byte
        assert found == own.to_found(request, 7)


def test_a_copy_that_would_be_too_large_is_not_made() -> None:
    # Given a stencil of a link that is as large as may be
    request = Request("http://host/1")
    size = len(codec().to_found(request, None).payload)
    stencil = codec(max_bytes=size).stencil(request)
    # When a longer one is to be made
    # Then it isn't
    assert stencil.found("http://host/2", 7) is not None
    assert stencil.found("http://host/22", 7) is None


def test_what_holds_more_than_data_makes_no_stencil() -> None:
    with pytest.raises(NotPlainData, match="a object is not plain data"):
        codec().stencil(Request(URL, meta={"object": object()}))


PAGE = """
<base href="/up/"><a href="next">1</a> <a HREF=" /abs?q=ü#part ">2</a> <a name="none">3</a>
<link href="http://other/style"> <area href="/area"> <a rel="Nofollow ugc" href="/paid">4</a>
<a href="javascript:void(0)">5</a> <a href="mailto:a@b.example">6</a> <a href="http://[bad">7</a>
"""


def page(body: str = PAGE, encoding: str = "utf-8", kind: Callable[..., Any] = HtmlResponse) -> Any:
    """A page as it comes from the net."""
    return kind(URL, body=body.encode(encoding), encoding=encoding)


UP, ABS, PAID = "http://host:8000/up/next", "http://host:8000/abs?q=%C3%BC", "http://host:8000/paid"


@pytest.mark.parametrize(
    ("told", "urls"),
    [
        ({"css": "a"}, [UP, ABS, PAID]),
        ({"css": "a, area, link"}, [UP, ABS, "http://other/style", "http://host:8000/area", PAID]),
        ({"css": "a::attr(href)"}, [UP, ABS, PAID]),
        ({"xpath": "//a"}, [UP, ABS, PAID]),
        ({"xpath": "//a/@href"}, [UP, ABS, PAID]),
        ({"xpath": "string(//area/@href)"}, ["http://host:8000/area"]),
        ({"xpath": "//a[re:test(@href, 'n.xt')]"}, [UP]),
        ({"css": "a", "skip_nofollow": True}, [UP, ABS]),
        ({"css": "nothing"}, []),
        ({"extractor": LinkExtractor(allow="up|paid")}, [UP, PAID]),
        ({"extractor": LinkExtractor(allow="up|paid"), "skip_nofollow": True}, [UP]),
    ],
)
def test_links_are_selected_on_a_page(told: dict[str, Any], urls: list[str]) -> None:
    # Given a page with a base, and with links of all kinds
    # When some are selected
    links = Links.of(page(), print, priority=3, **told)
    # Then they are what Scrapy would send, and those that lead nowhere are left out
    assert links.urls == urls
    assert [request.url for request in links.requests()] == urls
    assert (links.callback, links.priority) == (print, 3)


@pytest.mark.parametrize(
    ("encoding", "url"),
    [("latin-1", "http://host:8000/%C3%BC?q=%FC"), ("utf-16", "http://host:8000/%C3%BC?q=%C3%BC")],
)
def test_a_query_is_encoded_as_its_page_is(encoding: str, url: str) -> None:
    assert Links.of(page("<a href='/ü?q=ü'>x</a>", encoding), css="a").urls == [url]


def test_links_of_xml_are_selected_too() -> None:
    feed = page("<rss><Item href='/a'/><item href='/b'/></rss>", kind=XmlResponse)
    assert Links.of(feed, css="Item").urls == ["http://host:8000/a"]


@pytest.mark.parametrize(
    "told", [{}, {"css": "a", "xpath": "//a"}, {"css": "a", "extractor": LinkExtractor()}]
)
def test_links_are_told_in_one_way(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one of css, xpath and extractor"):
        Links.of(page(), **told)


def test_attributes_have_no_rel_to_skip_them_by() -> None:
    with pytest.raises(ValueError, match="select a, not a::attr"):
        Links.of(page(), css="a::attr(href)", skip_nofollow=True)


def test_there_are_no_links_to_select_in_json() -> None:
    with pytest.raises(ValueError, match="neither css nor xpath finds links in json"):
        Links.of(
            page('{"a": "/b"}', kind=TextResponse).replace(headers={"Content-Type": "application/json"}),
            css="a",
        )


def test_links_become_requests_with_all_they_were_given() -> None:
    # Given links with every option
    spider = Walker()
    links = Links(["http://a/1", "http://a/2"], spider.book, priority=5, meta={"m": 1}, cb_kwargs={"k": 2})
    # When they become requests
    one, two = links.requests()
    # Then each has its own copy of the data
    one.meta["m"] = 9
    assert (two.url, two.callback, two.priority) == ("http://a/2", spider.book, 5)
    assert (two.meta, two.cb_kwargs) == ({"m": 1}, {"k": 2})
    assert decode(codec(spider).to_found(two, 7).payload).callback == "book"
