"""A spider that follows the same links in one of several ways, and says how each page was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy
from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.http import Response
from twisted.python.failure import Failure

from crawlers.links import Links

_PAGES = 30  # of the graph
_ODD = ("b=2&a=1", "a=1&b=2", "q=é", "q=a b", "x=" + "x" * 70, "x=" + "x" * 3000)


class Tagging:
    """A spider middleware of the user's, which changes each request that it sees."""

    async def process_spider_output(self, response: Response, result: Any) -> AsyncIterator[Any]:
        """Changes meta, as no link without a request could be."""
        async for output in result:
            if isinstance(output, Request):
                output.meta["tag"] = f"changed at {response.url}"
            yield output


class Fingerprinter:
    """One of the user's: the fragment of a URL counts."""

    def fingerprint(self, request: Request) -> bytes:
        """A page for each fragment."""
        return request.url.encode()


class Linked(scrapy.Spider):
    """`-a way=...`: what the callback yields. `-a listens=1`: it listens to requests' signals."""

    name = "linked"
    allowed_domains = ["127.0.0.1"]  # noqa: RUF012
    # One at a time, so that all ways find the pages in the same order.
    custom_settings = {  # noqa: RUF012
        "ITEM_PIPELINES": {},
        "ROBOTSTXT_OBEY": False,
        "CONCURRENT_REQUESTS": 1,
        "RETRY_ENABLED": False,
    }

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Linked:
        """Listens where it is asked to."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        if hasattr(spider, "listens"):
            for signal in ("request_scheduled", "request_dropped"):
                crawler.signals.connect(getattr(spider, signal), getattr(signals, signal))
        return spider

    async def start(self) -> AsyncIterator[Any]:
        """The first page of the graph."""
        if self.way == "start":
            yield Links([self.url, self.url], self.links)
        elif self.way == "errback":
            yield Request("http://127.0.0.1:9/", self.links, errback=self.failed)
        else:
            yield Request(self.url, getattr(self, self.way))

    def links(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        """An item, and Links."""
        yield self.seen(response, **kwargs)
        yield self.all_links(response)

    def requests(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        """An item, and a request for each link."""
        yield self.seen(response, **kwargs)
        yield from self.all_links(response).requests()

    def returned(self, response: Response, **_: Any) -> Links:
        """Links that aren't yielded."""
        return self.all_links(response)

    async def asynchronous(self, response: Response, **kwargs: Any) -> AsyncIterator[Any]:
        """The same as `links`."""
        for output in self.links(response, **kwargs):
            yield output

    def failed(self, _: Failure) -> Iterator[Request]:
        """An errback."""
        yield from Links([self.url], self.links).requests()

    def broken(self, response: Response, **_: Any) -> Iterator[Any]:
        """Links of which some can't be queued, or are none at all."""
        urls = [f"{self.url}?good={number}" for number in range(3)]
        yield Links(
            [urls[0], "mailto:a@b.example", "http://[bad", 7, "file://127.0.0.1/etc/passwd", *urls[1:]],
            self.seen,
        )
        yield Links([f"{self.url}?object", f"{self.url}?thing"], meta={"object": object()})

    def seen(self, response: Response, **kwargs: Any) -> dict[str, Any]:
        """How a page was asked for."""
        request = response.request
        referer = request.headers.get("Referer")
        return {
            "url": response.url,
            "depth": request.meta.get("depth"),
            "priority": request.priority,
            "referer": referer and referer.decode(),
            "tag": request.meta.get("tag"),
            **kwargs,
        }

    def all_links(self, response: Response) -> Links:
        """Those of a page of the graph, and odd ones; a page that isn't has none."""
        graph = [response.urljoin(href) for href in response.css("a::attr(href)").getall()]
        near = [
            url
            for url in graph
            if url.rpartition("/")[2].isdecimal() and int(url.rpartition("/")[2]) < _PAGES
        ]
        odd = [f"{response.urljoin('/traps/leaf/page')}?{query}" for query in _ODD] if near else []
        elsewhere = ["http://127.0.0.1:9/", "http://elsewhere.invalid/1", "http://elsewhere.invalid/2"]
        again = [f"{url}#part" for url in near[:1]]
        callback = self.requests if self.way == "requests" else self.links
        kwargs = {"page": response.url.rpartition("/")[2][:9]}
        return Links(
            near + odd + elsewhere + again,
            callback,
            priority=2,
            meta={"tag": [1]},
            cb_kwargs=kwargs,
        )

    def request_scheduled(self) -> None:
        """Counts."""
        self.crawler.stats.inc_value("listened/scheduled")

    def request_dropped(self) -> None:
        """Counts."""
        self.crawler.stats.inc_value("listened/dropped")
