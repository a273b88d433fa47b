"""A spider that takes a page along one of the ways on which Scrapy can end it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy
from scrapy import Request
from scrapy.exceptions import DropItem, IgnoreRequest
from scrapy.http import HtmlResponse, Response
from twisted.python.failure import Failure

LEAF = "/traps/leaf/"


class Pipeline:
    """Does with an item what the item says."""

    async def process_item(self, item: dict[str, str]) -> dict[str, str]:
        """Drops it, fails, waits for the test, or lets it pass."""
        if item["do"] == "drop":
            raise DropItem("as asked")
        if item["do"] == "raise":
            raise ValueError("as asked")
        if item["do"] == "wait":
            await the_test()
        return item


class Middleware:
    """A downloader middleware that answers by itself where the URL asks for it."""

    def process_request(self, request: Request) -> Any:
        """A response, another request, or a refusal."""
        if request.url.endswith("mw-response"):
            return HtmlResponse(request.url, body=b"<p>by a middleware</p>")
        if request.url.endswith("mw-request"):
            return request.replace(url=request.url.replace("mw-request", "by-mw"))
        times = request.meta.get("times", 0)
        if request.url.endswith("mw-ever") or (request.url.endswith("mw-again") and times < 2):
            return request.replace(dont_filter=False, meta={**request.meta, "times": times + 1})
        if request.url.endswith("mw-ignore"):
            raise IgnoreRequest("as asked")
        return None


class SpiderMiddleware:
    """A spider middleware that fails where the URL asks for it."""

    def process_spider_input(self, response: Response) -> None:
        """Fails before the callback."""
        if response.url.endswith("smw-input"):
            raise ValueError("before the callback")

    async def process_spider_output(self, response: Response, result: Any) -> AsyncIterator[Any]:
        """Fails after the callback's output."""
        async for output in result:
            yield output
        if response.url.endswith("smw-output"):
            raise ValueError("after the callback")


async def the_test() -> None:
    """Returns when the test creates the file named by GO; says in WAITING that it is being waited for."""
    open(os.environ["WAITING"], "w").close()
    while not os.path.exists(os.environ["GO"]):
        await asyncio.sleep(0.01)


class Paths(scrapy.Spider):
    """Fetches `target` with the callback `way`."""

    name = "paths"
    custom_settings = {  # noqa: RUF012
        "ITEM_PIPELINES": {Pipeline: 1},
        "DOWNLOADER_MIDDLEWARES": {Middleware: 1},
        "SPIDER_MIDDLEWARES": {SpiderMiddleware: 900},
        "FRONTIER_MAX_ATTEMPTS": 2,
        "RETRY_TIMES": 1,
        "REDIRECT_MAX_TIMES": 3,
    }

    async def start(self) -> AsyncIterator[Any]:
        """One request; its callback, and what else is odd about it, by the name of the way."""
        callback = None if self.way == "nobody" else getattr(self, self.way, self.nothing)
        request = Request(self.target, callback, dont_filter=True)
        if self.way.startswith("errback"):
            request = request.replace(callback=self.nothing, errback=callback)
        if self.way == "offsite":
            self.allowed_domains = ["127.0.0.1"]
        yield request

    def nothing(self, response: Response) -> None:
        """Ends without any output."""

    def a_list(self, response: Response) -> list[Any]:
        """Returns an item and a link."""
        return [{"do": "pass"}, response.follow(LEAF + "linked", self.nothing)]

    def generator(self, response: Response) -> Iterator[Any]:
        """Yields an item and a link."""
        yield from self.a_list(response)

    async def coroutine(self, response: Response) -> list[Any]:
        """Returns them after waiting."""
        await asyncio.sleep(0)
        return self.a_list(response)

    async def async_generator(self, response: Response) -> AsyncIterator[Any]:
        """Yields them with waits between."""
        for output in self.a_list(response):
            await asyncio.sleep(0)
            yield output

    def raises(self, response: Response) -> None:
        """Raises before any output."""
        raise ValueError("before any output")

    async def coroutine_raises(self, response: Response) -> None:
        """The same in a coroutine."""
        await asyncio.sleep(0)
        raise ValueError("before any output")

    def raises_amid(self, response: Response) -> Iterator[Any]:
        """Raises after a link."""
        yield response.follow(LEAF + "linked", self.nothing)
        raise ValueError("amid the output")

    async def async_raises_amid(self, response: Response) -> AsyncIterator[Any]:
        """The same in an async generator."""
        yield response.follow(LEAF + "linked", self.nothing)
        raise ValueError("amid the output")

    def errback_handles(self, failure: Failure) -> Iterator[Any]:
        """Makes a link of a failure."""
        yield Request(self.site + LEAF + "linked", self.nothing)

    def errback_raises(self, failure: Failure) -> None:
        """Fails by itself."""
        raise ValueError("in the errback")

    def drops(self, response: Response) -> Iterator[Any]:
        """Yields an item that a pipeline drops."""
        yield {"do": "drop"}

    def item_fails(self, response: Response) -> Iterator[Any]:
        """Yields an item on which a pipeline fails, and one that passes."""
        yield {"do": "pass"}
        yield {"do": "raise"}

    def item_waits(self, response: Response) -> Iterator[Any]:
        """Yields an item that a pipeline holds for as long as the test wants."""
        yield {"do": "wait"}

    async def callback_waits(self, response: Response) -> None:
        """Waits for as long as the test wants."""
        await the_test()

    def offsite(self, response: Response) -> Iterator[Any]:
        """Yields a link to a host that isn't allowed and one that is."""
        yield Request("http://elsewhere.invalid/", self.nothing)
        yield response.follow(LEAF + "linked", self.nothing)

    async def downloads(self, response: Response) -> list[Any]:
        """Fetches another page by itself, past the scheduler."""
        await self.crawler.engine.download_async(Request(self.site + LEAF + "inner"))
        return self.a_list(response)

    def unqueueable(self, response: Response) -> Iterator[Any]:
        """Yields what can't be written into a queue, and a link that can."""
        yield response.follow(LEAF + "lambda", lambda _: None)
        yield response.follow(LEAF + "object", self.nothing, meta={"object": object()})
        yield response.follow(LEAF + "linked", self.nothing)

    def plain_data(self, response: Response) -> Iterator[Any]:
        """Sends data of many kinds along with a link, and checks what arrives."""
        yield response.follow(
            LEAF + "linked", self.check_data, method="POST", body=b"\xff", headers={"X-A": ["1", "2"]},
            cookies={"c": "v"}, priority=7, flags=["f"], cb_kwargs={"k": (1, {2}, None)}, meta={"m": 2**70},
        )  # fmt: skip

    def check_data(self, response: Response, k: Any) -> None:
        """Fails unless all has arrived as it was sent."""
        request = response.request
        assert k == (1, {2}, None)
        assert request.meta["m"] == 2**70
        assert (request.method, request.body, request.priority) == ("POST", b"\xff", 7)
        assert request.headers.getlist("X-A") == [b"1", b"2"]
        assert request.cookies == {"c": "v"}
        assert request.flags == ["f"]
