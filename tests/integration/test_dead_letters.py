"""Dead letters beyond what Redis is to hold are in MongoDB, and nobody loses count of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pymongo
import pytest

from crawlers.deep import ChunkStore, DeadLetters
from crawlers.deep.letterstore import DEAD_COLLECTION
from crawlers.frontier import Batch, Failed, Found, Frontier, Link, Member, Terms, connect, encode
from crawlers.frontier.operations import Crawl, check, dead, overview, retry_dead

from .deep_mover import store_in

HOST, DIED, MOST = "a.example", 25, 10


def _url(number: int) -> str:
    return f"http://{HOST}/{number}"


@asynccontextmanager
async def _crawl(
    redis_url: str, name: str, mongo_uri: str, database: str
) -> AsyncIterator[tuple[Member, Crawl]]:
    """A crawl of which 25 pages have failed for good."""
    client, store = connect({"REDIS_URL": redis_url}), store_in(mongo_uri, database)
    member, _ = await Frontier(client, name).join("worker", Terms(ttl_ms=3_600_000, limit=0))
    found = [Found(n, HOST, 0, encode(Link(_url(n)), 10_000)) for n in range(DIED)]
    leases = (await member.exchange(Batch(found=found, want=DIED))).leases
    await member.exchange(Batch(failed=[Failed(lease.id, "no good", final=True) for lease in leases]))
    yield member, await Crawl.open(client, name, store=store)
    await client.aclose()
    await store.aclose()


def _bound(crawl: Crawl) -> DeadLetters:
    assert isinstance(crawl.store, ChunkStore)
    return DeadLetters(crawl.client, crawl.name, crawl.store.letters, MOST)


Run = Callable[[Callable[[Member, Crawl], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run(redis_url: str, crawl_name: str, mongo_uri: str, database: str) -> Run:
    """Runs a test on such a crawl."""

    def run(test: Callable[[Member, Crawl], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with _crawl(redis_url, crawl_name, mongo_uri, database) as (member, crawl):
                await test(member, crawl)

        asyncio.run(main())

    return run


def test_the_oldest_move_to_mongodb_and_operators_find_all(
    run: Run,
    mongo_client: pymongo.MongoClient[dict[str, object]],
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(_: Member, crawl: Crawl) -> None:
        # Given more dead letters than Redis is to hold
        before = [letter.url async for letter in dead(crawl)]
        number = (await crawl.dead_shelf()).partition(".")[0]
        mongo_client[database][DEAD_COLLECTION].insert_one({"_id": f"{number}.0 000-1", "crawl": crawl.name})
        # When they are moved, by two workers at once
        with caplog.at_level(logging.WARNING):
            await asyncio.gather(_bound(crawl).step(), _bound(crawl).step())
        # Then the newest are in Redis, the others in MongoDB
        assert await crawl.client.xlen(f"{crawl.tag}:dead") == MOST
        assert mongo_client[database][DEAD_COLLECTION].count_documents({}) == DIED - MOST
        # And those of a run that is over are there no more
        shelf = await crawl.dead_shelf()
        assert (
            mongo_client[database][DEAD_COLLECTION].count_documents({"_id": {"$regex": f"^{shelf} "}})
            == DIED - MOST
        )
        # And whoever looks sees all as before, counted, and has been told
        assert (
            [letter.url async for letter in dead(crawl)] == before == [_url(n) for n in reversed(range(DIED))]
        )
        figures = await overview(crawl)
        assert (figures["dead"], figures["dead_in_mongodb"]) == (DIED, DIED - MOST)
        assert (await check(crawl)).findings == []
        assert "the oldest go to MongoDB" in caplog.text

    run(test)


def test_a_retry_queues_all_once_wherever_they_are(
    run: Run, mongo_client: pymongo.MongoClient[dict[str, object]], database: str
) -> None:
    async def test(member: Member, crawl: Crawl) -> None:
        # Given dead letters in Redis and in MongoDB
        await _bound(crawl).step()
        # When all are tried again
        assert await retry_dead(crawl) == (DIED, 0)
        # Then each is queued once, and no letter is left
        leased = [lease.payload for lease in (await member.exchange(Batch(want=99))).leases]
        assert sorted(leased) == sorted(encode(Link(_url(n)), 10_000) for n in range(DIED))
        assert mongo_client[database][DEAD_COLLECTION].count_documents({}) == 0
        assert [letter async for letter in dead(crawl)] == []
        assert (await check(crawl)).findings == []
        assert await retry_dead(crawl) == (0, 0)

    run(test)


def test_a_retry_that_ended_before_mongodb_knew_queues_none_twice(run: Run) -> None:
    async def test(member: Member, crawl: Crawl) -> None:
        # Given dead letters in MongoDB, and an operator's command that ended amid their retry
        await _bound(crawl).step()
        assert crawl.store is not None
        store, kept = crawl.store.letters, crawl.store.letters.delete

        async def fail(*_: object) -> None:
            raise OSError("amid it")

        store.delete = fail  # type: ignore[method-assign]
        with pytest.raises(OSError, match="amid it"):
            await retry_dead(crawl)
        store.delete = kept  # type: ignore[method-assign]
        # When it is given again
        await retry_dead(crawl)
        # Then each is queued once
        leased = [lease.payload for lease in (await member.exchange(Batch(want=99))).leases]
        assert len(leased) == len(set(leased)) == DIED
        assert (await check(crawl)).findings == []

    run(test)


def test_while_mongodb_is_away_all_stay_in_redis(
    redis_url: str, crawl_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with _crawl(redis_url, crawl_name, "mongodb://127.0.0.1:9", "none") as (_, crawl):
            # Given a MongoDB that isn't there, when letters are to move, then none does, and it is said
            assert await _bound(crawl).step() > 0
            assert await crawl.client.xlen(f"{crawl.tag}:dead") == DIED
            assert "All dead letters stay in Redis" in caplog.text

    asyncio.run(test())
