"""Who puts links into Redis and takes them out: this project's frontier, and scrapy-redis' scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from scrapy import Request, Spider
from scrapy.http import Response
from scrapy.settings import Settings
from scrapy.utils.request import RequestFingerprinter
from scrapy_redis import connection
from scrapy_redis.dupefilter import RFPDupeFilter
from scrapy_redis.scheduler import Scheduler

from benchmarks.fairness.crowd import Crowd
from benchmarks.frontier.ground import (
    MAX_BYTES,
    TERMS,
    batches,
    found_of,
    host_name,
    put,
    take,
    tell_robots,
    url_of,
)
from crawlers.frontier import Batch, Found, Frontier, Lease, Member
from crawlers.scheduler.requests import RequestCodec


class PageSpider(Spider):
    """Has the callback that the links name."""

    name = "frontier"

    def parse_page(self, response: Response) -> None:
        """Never called."""


class Contender:
    """A crawl of its own on an empty Redis, with so many hosts; `batch` is what goes in one exchange."""

    name: ClassVar[str]

    def __init__(self, at: Crowd, hosts: int, batch: int) -> None:
        self._at = at
        self._hosts = hosts
        self._batch = batch
        self._spider = PageSpider()

    def __enter__(self) -> Self:
        self._at.redis.flushdb()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends its connections."""

    def link(self, number: int) -> Any:
        """The link of that number in the form in which this one takes it."""
        url = url_of(number, self._hosts)
        return Request(url, callback=self._spider.parse_page, meta={"depth": 3})

    def put(self, links: Sequence[Any]) -> None:
        """Enqueues what was not seen."""
        raise NotImplementedError

    def take(self, number: int) -> None:
        """Takes so many requests from the queue, and completes them where there is such a thing."""
        raise NotImplementedError

    def crawl(self, links: Sequence[Any]) -> None:
        """For each link one page: a request is taken, it brings this link, it is complete."""
        raise NotImplementedError


class Stock(Contender):
    """scrapy-redis as its users have it: its scheduler with its default queue, dupefilter and pickle."""

    name = "scrapy-redis"

    def __enter__(self) -> Self:
        super().__enter__()
        url = "redis://{host}:{port}/{db}".format(**self._at.redis.connection_pool.connection_kwargs)
        self._server = connection.from_settings(Settings({"REDIS_URL": url}))
        dupefilter = RFPDupeFilter(self._server, f"{self._spider.name}:dupefilter")
        self._scheduler = Scheduler(self._server, dupefilter=dupefilter)
        self._scheduler.open(self._spider)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def put(self, links: Sequence[Any]) -> None:
        """As a spider's requests come to it."""
        for link in links:
            self._scheduler.enqueue_request(link)

    def take(self, number: int) -> None:
        """As the engine asks for them; it knows no completion."""
        for _ in range(number):
            assert self._scheduler.next_request()

    def crawl(self, links: Sequence[Any]) -> None:
        """One page after the other."""
        for link in links:
            assert self._scheduler.next_request()
            self._scheduler.enqueue_request(link)


class Ours(Contender):
    """Links as plain data, as they leave a worker's outbox, and leases as they come to it."""

    name = "this project"

    def __enter__(self) -> Self:
        super().__enter__()
        self._runner = asyncio.Runner()
        self._member = self._runner.run(self._join())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._at.frontier.client.aclose())
        self._runner.close()

    def link(self, number: int) -> Any:
        """Plain data, with its fingerprint and its payload."""
        return found_of(number, self._hosts)

    def put(self, links: Sequence[Any]) -> None:
        """A batch in an exchange."""
        self._runner.run(put(self._member, map(self._found, batches(links, self._batch))))

    def take(self, number: int) -> None:
        """A batch in an exchange, completed in the next."""
        self._runner.run(take(self._member, number, self._batch, self._use))

    def crawl(self, links: Sequence[Any]) -> None:
        """A batch of each in an exchange."""
        self._runner.run(self._crawl(links))

    def rest(self, exchanges: int) -> None:
        """Exchanges that bring and want nothing, as heartbeats are."""
        self._runner.run(self._rest(exchanges))

    def _found(self, links: Sequence[Any]) -> list[Found]:
        return list(links)

    def _use(self, leases: Sequence[Lease]) -> None:
        pass

    async def _join(self) -> Member:
        frontier: Frontier = self._at.frontier
        member, _ = await frontier.join("worker", TERMS)
        await tell_robots(member, [host_name(number) for number in range(self._hosts)])
        return member

    async def _crawl(self, links: Sequence[Any]) -> None:
        brought = batches(links, self._batch)
        wants = [*map(len, brought), 0]
        held = (await self._member.exchange(Batch(want=wants[0]))).leases
        for some, want in zip(brought, wants[1:], strict=True):
            self._use(held)
            done = [lease.id for lease in held]
            held = (await self._member.exchange(Batch(found=self._found(some), done=done, want=want))).leases

    async def _rest(self, exchanges: int) -> None:
        for _ in range(exchanges):
            await self._member.exchange(Batch())


class OursFromRequests(Ours):
    """The same from Request to Request, as stock's figures are: with fingerprint, payload and back."""

    name = "with Requests"

    def __enter__(self) -> Self:
        super().__enter__()
        self._codec = RequestCodec(self._spider, RequestFingerprinter(), lambda _: None, MAX_BYTES)
        return self

    def link(self, number: int) -> Any:
        """The same as scrapy-redis gets."""
        return Contender.link(self, number)

    def _found(self, links: Sequence[Any]) -> list[Found]:
        return [self._codec.to_found(link, self._codec.fingerprint(link)) for link in links]

    def _use(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._codec.to_request(lease)
