"""A plain start URL becomes what the request would have become that the intake makes of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from scrapy import Request, Spider, signals
from scrapy.downloadermiddlewares.offsite import OffsiteMiddleware
from scrapy.signalmanager import SignalManager
from scrapy.utils.request import RequestFingerprinter

from crawlers.frontier import Found, NotPlainData
from crawlers.messages import BadEntry, request_of
from crawlers.scheduler.hostkeys import HostKeys
from crawlers.scheduler.plainurls import PlainUrls
from crawlers.scheduler.requests import RequestCodec
from tests.unit.test_links import PLENTY, URLS

SPIDER = Spider("any")


class Ground:
    """A way for plain URLs, with `put`, what it gave the worker."""

    def __init__(self, keys: HostKeys | None = None, max_bytes: int = PLENTY) -> None:
        self.crawler: Any = SimpleNamespace(spider=SPIDER, stats=None)
        self.crawler.signals = SignalManager(self.crawler)
        self.put: list[Found] = []
        keys = keys or HostKeys("host")
        worker: Any = SimpleNamespace(put=self.put.append, open_inside=lambda _host: None)
        self.codec = RequestCodec(SPIDER, RequestFingerprinter(), print, max_bytes, (), keys)
        self.urls = PlainUrls(self.crawler, self.codec, keys, worker)

    def by_request(self, entry: bytes) -> Found | None:
        """What a request would have put."""
        try:
            request = request_of(entry, SPIDER)
            return self.codec.to_found(request, self.codec.fingerprint(request))
        except (BadEntry, NotPlainData, ValueError):
            return None


@given(URLS)
@example("http://host/")
@example(" http://host/a/../b?x=1&y=+ \n")
@example(f"http://{'a.' * 150}example/")
@settings(max_examples=1500, deadline=None)
@pytest.mark.parametrize("kind", ["host", "domain"])
def test_a_plain_url_is_queued_as_its_request_would_be(kind: str, url: str) -> None:
    # Given any entry
    ground = Ground(HostKeys(kind))
    entry = url.encode(errors="surrogatepass")
    assert ground.urls.open()
    # When it is taken without a request
    if ground.urls.take(entry):
        # Then it is the same to the last byte
        assert ground.put == [ground.by_request(entry)]


def test_most_urls_are_plain() -> None:
    # Given URLs as they come, and entries that aren't plain
    ground = Ground(max_bytes=100)
    assert ground.urls.open()
    plain = [
        b"https://www.example.com/",
        b"http://127.0.0.1:8766/graph/3874\n",
        b"http://a.example/b?c=d&e=f",
    ]
    others = [
        b"http://a.example",
        b"http://A.example/",
        "http://a.example/\u00fc".encode(),
        b'{"url": "http://a.example/"}',
        b"ftp://a.example/",
        b"http://a.example/" + b"x" * 100,
        b"\xff",
    ]
    # When they are offered, then the plain ones are taken
    assert [ground.urls.take(entry) for entry in plain + others] == [True] * 3 + [False] * 7


def test_whoever_listens_to_requests_is_told_of_each() -> None:
    # Given a listener to the requests that are scheduled
    ground = Ground()
    own = OffsiteMiddleware(ground.crawler.stats)
    ground.crawler.signals.connect(own.request_scheduled, signals.request_scheduled)
    assert ground.urls.open()

    def heard(request: Request) -> None:
        """Is told."""

    # When it begins to listen, then none goes without a request
    ground.crawler.signals.connect(heard, signals.request_scheduled)
    assert not ground.urls.open()
    assert not ground.urls.take(b"http://host/")


def test_a_url_that_decides_through_which_proxy_it_goes_needs_a_request() -> None:
    # Given delays by proxy, when start URLs come, then each has a request
    keys = HostKeys("host")
    keys.exit_of = lambda _: "exit"
    assert not Ground(keys).urls.open()
