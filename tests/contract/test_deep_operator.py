"""What an operator does to a crawl sees its deep queues as a whole, wherever their parts are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crawlers.frontier import Batch, Member, operations
from crawlers.frontier.operations import BadRequest

from .crawl import HOST, Crawl, give, ids, want
from .test_deep import CHUNK, Shelf, shelf_of
from .test_operator import page, pages, urls


class Store:
    """What a mover has elsewhere, to be read by an operator."""

    def __init__(self, shelf: Shelf) -> None:
        self._held = shelf.held

    async def read(self, shelf: str, name: str, there: int = 0) -> AsyncIterator[list[bytes]]:
        """The requests of a chunk, a few at a time."""
        assert shelf
        for first in range(there, len(self._held.get(name, ())), 3):
            yield self._held[name][first : first + 3]


async def deep_crawl(crawl: Crawl, number: int = 58) -> tuple[Member, Shelf, operations.Crawl]:
    """/0, /1, ... of a host, of which some chunks are out and others aren't; a mover; an operator's view."""
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    for found in pages(number):
        await give(member, [found])
    await shelf.spill(number // 2)
    assert 0 < len(shelf.held) < number // CHUNK - 1
    name = crawl.frontier.crawl
    return member, shelf, await operations.Crawl.open(crawl.frontier.client, name, store=Store(shelf))


async def drain(member: Member, shelf: Shelf) -> list[str]:
    """Leases and completes what is queued, and brings back what is wanted. The order."""
    order: list[str] = []
    done: list[int] = []
    while True:
        reply = await member.exchange(Batch(done=done, want=7))
        order += urls(lease.payload for lease in reply.leases)
        done = ids(reply)
        if not reply.leases and not await shelf.fetch_wanted():
            return order


def numbers(*of: int) -> list[str]:
    """As :func:`urls` has them."""
    return [str(n) for n in range(*of)]


async def test_status_says_how_much_is_out(crawl: Crawl) -> None:
    # Given a crawl with chunks out
    _, shelf, operator = await deep_crawl(crawl)
    # When it is looked at
    overview, (host,) = await operations.overview(operator), await operations.hosts(operator)
    # Then what is out counts as queued, and is told
    assert (overview["queued"], overview["in_mongodb"], host.queued) == (58, CHUNK * len(shelf.held), 58)


@pytest.mark.parametrize("number", [0, 9, 10, 25, 45, 57])
async def test_a_url_is_found_wherever_it_is_queued(crawl: Crawl, number: int) -> None:
    # Given a crawl with chunks out
    _, _, operator = await deep_crawl(crawl)
    # When one of its URLs is looked for
    url = f"http://{HOST}/{number}"
    place = await operations.where(operator, url, HOST, [], lambda link: link.url == url)
    # Then it is found, with what comes before it
    assert (place.state, place.ahead) == ("queued", number)


async def test_without_its_store_nothing_is_taken_for_complete(crawl: Crawl, tmp_path: Path) -> None:
    # Given an operator that can't reach what is out
    member, shelf, operator = await deep_crawl(crawl)
    await member.leave()
    shelf.held.clear()
    # When all of the crawl is to be read
    # Then it says so, and changes nothing
    with pytest.raises(BadRequest, match="neither in Redis nor in MongoDB"):
        await operations.export(operator, tmp_path / "crawl")
    with pytest.raises(BadRequest, match="neither in Redis nor in MongoDB"):
        await operations.drop(operator, re.compile("/nothing"))
    assert not (tmp_path / "crawl").exists()


async def test_an_export_holds_what_is_out_in_order(crawl: Crawl, tmp_path: Path) -> None:
    # Given a crawl with chunks out, and no workers
    member, shelf, operator = await deep_crawl(crawl)
    await member.leave()
    # When it is exported, cleared and imported
    ends = await operations.export(operator, tmp_path / "crawl")
    await operations.clear(operator)
    fresh = await operations.Crawl.open(crawl.frontier.client, crawl.frontier.crawl)
    await operations.import_from(fresh, tmp_path / "crawl")
    # Then nothing is missing, and the order is the same
    assert ends.queued == 58
    assert await drain(await crawl.join(limit=0, chunk=CHUNK), shelf) == numbers(58)


async def test_a_drop_reaches_every_part(crawl: Crawl) -> None:
    # Given a crawl with chunks out
    member, shelf, operator = await deep_crawl(crawl)
    # When every URL that ends with a 3 is dropped
    dropped = await operations.drop(operator, re.compile("3$"))
    # Then they are among the dead letters, the others come in order, and the figures fit
    assert dropped == 6
    assert sorted(urls(letter.payload for letter in crawl.letters())) == sorted(numbers(3, 58, 10))
    assert (await operations.check(operator)).findings == []
    assert await drain(member, shelf) == [n for n in numbers(58) if not n.endswith("3")]


@pytest.mark.parametrize("kept", ["", "/(0|1)$", "/(25)$", "/(57)$", "/(15|49)$"])
async def test_a_drop_of_whole_parts_leaves_the_others(crawl: Crawl, kept: str) -> None:
    # Given a crawl with chunks out
    member, shelf, operator = await deep_crawl(crawl)
    # When all URLs are dropped but a few, or none
    pattern = re.compile(rf"^(?!.*{kept}).*$" if kept else ".")
    await operations.drop(operator, pattern)
    # Then only these are left, and no key but theirs
    left = [n for n in numbers(58) if not pattern.search(f"http://{HOST}/{n}")]
    assert (await operations.check(operator)).findings == []
    assert await drain(member, shelf) == left
    assert not {name.split(":")[1] for name in crawl.key_names("1:*")} & {"deep", "chunk", "chunks", "tail"}


async def test_check_finds_a_deep_queue_in_order_at_every_moment(crawl: Crawl) -> None:
    # Given a deep queue
    member, shelf, operator = await deep_crawl(crawl)
    report = await operations.check(operator)
    assert (report.findings, report.requests, report.out) == ([], 58, CHUNK * len(shelf.held))
    # When it is leased step by step, and chunks come back
    for _ in range(8):
        await shelf.fetch_wanted()
        reply = await want(member, 9)
        await member.exchange(Batch(done=ids(reply)))
        # Then nothing is taken for damaged
        assert (await operations.check(operator)).findings == []


async def test_a_torn_chunk_is_found_and_repaired(crawl: Crawl) -> None:
    # Given a chunk that has lost some requests, and another that has lost all
    member, shelf, operator = await deep_crawl(crawl, 98)
    chunks = [key for key in crawl.key_names("1:chunk:*") if crawl.redis.llen(f"{crawl.tag}:{key}")]
    crawl.redis.ltrim(f"{crawl.tag}:{chunks[0]}", 4, -1)
    crawl.redis.delete(f"{crawl.tag}:{chunks[1]}")
    await member.leave()
    # When it is checked, and repaired
    found = (await operations.check(operator)).findings
    report = await operations.check(operator, repair=True)
    # Then it is said, put right, and what is left is crawled
    assert any("2 chunks that don't hold what they should" in finding for finding in found)
    assert report.findings == []
    assert len(await drain(await crawl.join(limit=0, chunk=CHUNK), shelf)) == 98 - 14


async def test_a_host_that_is_not_marked_for_its_deep_queue_is_repaired(crawl: Crawl) -> None:
    # Given a deep queue of which the crawl knows nothing any more
    member, shelf, operator = await deep_crawl(crawl)
    crawl.redis.delete(f"{crawl.base}:deep_hosts")
    # When the crawl is repaired, and more is pushed
    report = await operations.check(operator, repair=True)
    await give(member, [page(58)])
    # Then that comes last
    assert report.repairs
    assert report.findings == []
    assert await drain(member, shelf) == numbers(59)


async def test_a_host_that_forgot_its_deep_queue_is_repaired(crawl: Crawl) -> None:
    # Given a deep queue of which the host knows nothing any more
    member, shelf, operator = await deep_crawl(crawl)
    crawl.redis.hdel(f"{crawl.base}:hosts", HOST)
    await member.leave()
    # When the crawl is repaired
    report = await operations.check(operator, repair=True)
    # Then all is there again, in order
    assert report.findings == []
    assert await drain(await crawl.join(limit=0, chunk=CHUNK), shelf) == numbers(58)


async def test_a_letter_that_is_retried_goes_behind_what_is_out(crawl: Crawl) -> None:
    # Given a deep queue, the first request of which is dropped
    member, shelf, operator = await deep_crawl(crawl)
    await operations.drop(operator, re.compile("/0$"))
    # When it is queued again
    assert await operations.retry_dead(operator) == (1, 0)
    # Then it is the last one
    assert await drain(member, shelf) == [*numbers(1, 58), "0"]


async def test_a_cleared_crawl_has_nothing_out(crawl: Crawl) -> None:
    # Given a crawl with chunks out
    _, shelf, operator = await deep_crawl(crawl)
    # When it is cleared
    await operations.clear(operator)
    # Then its names are to be deleted, and no key of its queues is left
    assert sorted((await shelf.plan(None, keep_ms=-1)).stale) >= sorted(shelf.held)
    assert crawl.key_names("1:*") == []
    member = await crawl.join(limit=0, chunk=CHUNK)
    await give(member, [page(1)])
    assert await drain(member, shelf) == ["1"]
