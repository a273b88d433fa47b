"""The cookies of a crawl: all workers have what one is given, and none is lost where two change some."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
import redis
from scrapy import Request
from scrapy.http import Response
from scrapy.utils.test import get_crawler

from crawlers.frontier import MOST_COOKIE_BYTES, Counts, Frontier, Terms, connect
from crawlers.scheduler.cookies import SharedCookies

URL = "https://shop.example.com/"


class Seat:
    """A worker as far as cookies go: what it knows of the crawl is what it last heard."""

    def __init__(self, frontier: Frontier, *, shares: bool = True) -> None:
        self.counts, self.workers = Counts(), 2
        self._frontier = frontier
        self.cookies = SharedCookies.from_crawler(get_crawler())
        self.cookies.bind(self, frontier, shares=shares)  # type: ignore[arg-type]

    async def hear(self) -> None:
        """As an exchange would tell it."""
        version = await self._frontier.client.hget(self._frontier.keys[0], "cookies")
        self.counts = Counts(cookies=int(version or 0))

    async def receive(self, *set_cookies: str, url: str = URL, **meta: Any) -> None:
        """A response of `url` that sets cookies."""
        response = Response(url, headers={"Set-Cookie": list(set_cookies)})
        done = self.cookies.process_response(Request(url, meta=meta), response)
        if asyncio.iscoroutine(done):
            await done

    async def sends(self, url: str = URL, cookies: dict[str, str] | None = None, **meta: Any) -> set[str]:
        """The cookies that it sends with a request."""
        await self.hear()
        request = Request(url, meta=meta, cookies=cookies)
        done = self.cookies.process_request(request)
        if done is not None:
            await done
        header = request.headers.get("Cookie", b"").decode()
        return set(filter(None, header.split("; ")))


@pytest.fixture
def frontier(runner: asyncio.Runner, redis_url: str, crawl_name: str) -> Iterator[Frontier]:
    """The frontier of a crawl that has begun."""
    frontier = Frontier(connect({"REDIS_URL": redis_url}), crawl_name)
    runner.run(frontier.join("worker", Terms()))
    yield frontier
    runner.run(frontier.client.aclose())


async def test_a_cookie_that_one_worker_was_given_is_sent_by_all(frontier: Frontier) -> None:
    # Given two workers
    one, other = Seat(frontier), Seat(frontier)
    # When a response to one of them sets cookies for its host and for the whole site
    await one.receive("sid=1; Path=/", "lang=en; Domain=example.com; Path=/a")
    # Then the other sends each where it belongs
    assert await other.sends() == {"sid=1"}
    assert await other.sends("https://www.example.com/a") == {"lang=en"}
    assert await other.sends("https://example.org/") == set()


async def test_of_two_workers_that_change_cookies_at_once_no_cookie_is_lost(frontier: Frontier) -> None:
    # Given two workers that have read nothing yet
    one, other = Seat(frontier), Seat(frontier)
    # When both are given cookies at the same moment
    await asyncio.gather(one.receive("a=1"), other.receive("b=1"))
    # Then both send both
    assert await one.sends() == await other.sends() == {"a=1", "b=1"}


async def test_what_was_changed_or_deleted_is_changed_or_deleted_for_all(frontier: Frontier) -> None:
    # Given two workers with the same cookies
    one, other = Seat(frontier), Seat(frontier)
    await one.receive("a=1", "b=1")
    assert await other.sends() == {"a=1", "b=1"}
    # When a response to one changes one and deletes the other
    await other.receive("a=2", "b=; Max-Age=0")
    # Then so it is for the other
    assert await one.sends() == {"a=2"}


async def test_jars_are_apart_and_a_requests_own_cookies_stay_with_its_site(frontier: Frontier) -> None:
    # Given two workers
    one, other = Seat(frontier), Seat(frontier)
    # When a request of one brings a cookie along, and a response is for another jar
    assert await one.sends(cookies={"token": "x"}) == {"token=x"}
    await one.receive("user=2", cookiejar=2)
    # Then the other sends each in its jar, as a single process would
    assert await other.sends() == {"token=x"}
    assert await other.sends(cookiejar=2) == {"user=2"}


async def test_a_site_with_too_many_cookies_keeps_what_is_shared_and_its_worker_sends_all(
    frontier: Frontier, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a site whose cookie is shared
    one, other = Seat(frontier), Seat(frontier)
    await one.receive("a=1")
    # When it sets more than the frontier keeps of a site
    await one.receive(*(f"c{n}={'x' * 4000}" for n in range(MOST_COOKIE_BYTES // 4000 + 1)))
    # Then it is said, and the other worker goes on with what it has
    assert "shop.example.com has too many cookies" in caplog.text
    assert await other.sends() == {"a=1"}
    assert len(await one.sends()) == MOST_COOKIE_BYTES // 4000 + 2


@pytest.mark.parametrize("kept", [b"\xc1", b"[]", msgpack.packb({"a": 1}), msgpack.packb({"x\ny\nz": "?"})])
async def test_what_no_worker_wrote_is_no_cookie(
    frontier: Frontier, redis_client: redis.Redis, kept: bytes
) -> None:
    # Given something else where the cookies of a site are kept
    one, other = Seat(frontier), Seat(frontier)
    await one.receive("a=1")
    [site] = redis_client.hkeys(f"{{{frontier.crawl}}}:cookies")
    redis_client.hset(f"{{{frontier.crawl}}}:cookies", site, kept)
    # When a worker reads it, and is given a cookie
    assert await other.sends() == set()
    await other.receive("b=1")
    # Then that is written over it
    assert await one.sends() == {"b=1"}


async def test_the_next_run_starts_without_cookies(frontier: Frontier) -> None:
    # Given a run with cookies that has finished
    await Seat(frontier).receive("a=1")
    await frontier.client.hset(frontier.keys[0], "finished", 1)
    # When the next one begins
    await frontier.join("worker", Terms())
    # Then it has none, as a new process of Scrapy's
    assert await Seat(frontier).sends() == set()


async def test_where_nothing_is_shared_that_is_said_once(
    frontier: Frontier, caplog: pytest.LogCaptureFixture
) -> None:
    # Given two workers with cookies of their own
    one, other = Seat(frontier, shares=False), Seat(frontier, shares=False)
    # When one is given some, again and again
    await one.receive("a=1")
    await one.receive("a=2")
    # Then the other sends none, and the log says once what to do
    assert (await one.sends(), await other.sends()) == ({"a=2"}, set())
    assert caplog.text.count('Set FRONTIER_COOKIES = "shared"') == 1
