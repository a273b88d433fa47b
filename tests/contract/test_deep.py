"""Deep queues: what is moved out of Redis comes back in order, whatever is repeated, lost or done by two."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from crawlers.frontier import Batch, Closed, Deep, Failed, Member, Plan, Wanted

from .crawl import HOST, LONG_MS, Crawl, give, ids, link, links, names, want
from .test_hostile import TYPES

CHUNK = 10


@dataclass
class Shelf:
    """What a worker has elsewhere, and the worker that moves it: every step, as a test has them."""

    deep: Deep
    held: dict[str, list[bytes]] = field(default_factory=dict)

    async def plan(self, limit: int | None = 0, **terms: int) -> Plan:
        """What there is to do; to begin with all may be moved."""
        plan = await self.deep.plan(limit, 100, **terms)
        assert plan.mover
        return plan

    async def write(self, chunk: Closed) -> None:
        """A chunk is elsewhere, and still in Redis."""
        self.held[chunk.name] = [element async for some in self.deep.elements(chunk) for element in some]

    async def spill(self, limit: int | None = 0) -> int:
        """Moves all out that may go. Returns how many chunks went."""
        chunks = (await self.plan(limit)).spill
        for chunk in chunks:
            await self.write(chunk)
        return await self.deep.spilled(chunks)

    async def fetch(self, chunk: Wanted, step: int = 1000) -> int:
        """Brings a chunk back, `step` requests at a time."""
        elements, there = self.held[chunk.name], chunk.there
        while there < chunk.length:
            there = await self.deep.fetched(chunk, there, elements[there : there + step])
        return there

    async def fetch_wanted(self) -> int:
        """Brings all back that is wanted. Returns how many chunks that were."""
        wanted = (await self.plan(None)).wanted
        for chunk in wanted:
            await self.fetch(chunk)
        return len(wanted)


def shelf_of(crawl: Crawl, worker: str = "mover") -> Shelf:
    """A worker that moves the deep queues of `crawl`."""
    return Shelf(Deep(crawl.frontier.client, crawl.frontier.crawl, worker))


async def drain(member: Member, shelf: Shelf, step: int = 7) -> list[str]:
    """Leases and completes what is queued, `step` at a time, and brings back what is wanted. The order."""
    order: list[str] = []
    done: list[int] = []
    while True:
        reply = await member.exchange(Batch(done=done, want=step))
        order += names(reply)
        done = ids(reply)
        if not reply.leases and not await shelf.fetch_wanted():
            return order


def numbers(count: int) -> list[str]:
    """The payloads of :func:`links`."""
    return [str(n) for n in range(count)]


async def deep_crawl(crawl: Crawl, number: int = 55) -> tuple[Member, Shelf]:
    """A worker, a mover, and a queue of `number` requests, found one by one, of which all chunks are out."""
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    for found in links(number):
        await give(member, [found])
    await shelf.spill()
    return member, shelf


def in_redis(crawl: Crawl) -> int:
    """How many requests are in lists of Redis."""
    return sum(
        crawl.redis.llen(f"{crawl.tag}:{name}")
        for name in crawl.key_names("1:*")
        if name.split(":")[1] in {"requests", "tail", "chunk"}
    )


async def test_a_short_queue_has_no_chunks(crawl: Crawl) -> None:
    # Given queues of fewer requests than a chunk
    member = await crawl.join(limit=0, chunk=CHUNK)
    await give(member, links(CHUNK - 1) + links(CHUNK - 1, "b.example"))
    # When all of them may be moved
    plan = await shelf_of(crawl).plan()
    # Then there is nothing to move, and their hosts have no other keys than before
    assert plan.spill == []
    assert crawl.redis.hget(f"{crawl.base}:hosts", HOST) == b"0 0"
    assert not {name.split(":")[1] for name in crawl.key_names("1:*")} & {"tail", "deep", "chunk", "chunks"}


@pytest.mark.parametrize("limit", [0, None])
async def test_order_is_kept_across_chunks_in_redis_and_out_of_it(crawl: Crawl, limit: int | None) -> None:
    # Given a queue of many chunks, which are moved out or not
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    for found in links(95):
        await give(member, [found])
    moved = await shelf.spill(limit)
    assert moved == (8 if limit == 0 else 0)
    # When all is leased
    order = await drain(member, shelf)
    # Then it comes in the order in which it was found, and the crawl is over
    assert order == numbers(95)
    counts = (await want(member, 10)).counts
    assert (counts.done, counts.queued, counts.leased) == (95, 0, 0)
    # And nothing is left of it
    kinds = {name.split(":")[1] for name in crawl.key_names("1:*")}
    assert not kinds & {"requests", "tail", "deep", "chunk", "chunks", "here", "wanted", "host"}


async def test_what_is_out_takes_no_memory_for_its_requests(crawl: Crawl) -> None:
    # Given 1,000 requests in chunks of 10
    _, shelf = await deep_crawl(crawl, 1000)
    # When all chunks are out
    counts = (await crawl.frontier.status()).queued
    # Then all count as queued, and Redis holds a front and a tail
    assert (counts, in_redis(crawl)) == (1000, 10)
    assert sum(map(len, shelf.held.values())) == 990


async def test_only_what_is_above_the_limit_goes_and_the_youngest_first(crawl: Crawl) -> None:
    # Given a queue of 55 requests
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    for found in links(55):
        await give(member, [found])
    # When 30 may stay
    assert await shelf.spill(30) == 3
    # Then the last chunks went, and no more go
    assert sorted(int(element.split()[1]) for some in shelf.held.values() for element in some) == list(
        range(20, 50)
    )
    assert await shelf.spill(30) == 0


async def test_priorities_hold_over_chunks(crawl: Crawl) -> None:
    # Given deep queues of three priorities
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    for n in range(35):
        await give(member, [link(f"{p}/{n}", priority=p) for p in (0, -5, 10)])
    assert await shelf.spill() == 6
    # When all is leased
    order = await drain(member, shelf)
    # Then the highest priority comes first, and of one the oldest
    assert order == [f"{p}/{n}" for p in (10, 0, -5) for n in range(35)]


async def test_an_urgent_link_goes_before_what_is_out(crawl: Crawl) -> None:
    # Given a host whose next requests are out
    member, shelf = await deep_crawl(crawl)
    await want(member, CHUNK)
    # When a link with a higher priority is found
    await give(member, [link("urgent", priority=1)])
    # Then it doesn't wait for them
    assert names(await want(member, 100)) == ["urgent"]
    assert (await drain(member, shelf))[:2] == ["10", "11"]


async def test_a_lower_priority_waits_for_what_is_out(crawl: Crawl) -> None:
    # Given a host whose next requests are out, and one with a lower priority
    member, shelf = await deep_crawl(crawl)
    await give(member, [link("low", priority=-1)])
    assert names(await want(member, CHUNK)) == numbers(CHUNK)
    # When more is wanted
    # Then nothing is leased before they are back
    assert names(await want(member, 100)) == []
    assert await drain(member, shelf) == [*numbers(55)[CHUNK:], "low"]


async def test_requests_that_come_back_go_to_the_front(crawl: Crawl) -> None:
    # Given two leases of a deep queue, the second of which is released
    member, shelf = await deep_crawl(crawl)
    first = await want(member, 2)
    await member.exchange(Batch(done=ids(first)[:1], released=ids(first)[1:]))
    # When all is leased
    order = await drain(member, shelf)
    # Then it goes before all others
    assert order == numbers(55)[1:]


async def test_requests_that_come_back_to_an_empty_front_go_before_what_is_out(crawl: Crawl) -> None:
    # Given a front that is leased as a whole
    member, shelf = await deep_crawl(crawl)
    first = await want(member, CHUNK)
    assert names(await want(member, 1)) == []
    # When one of its requests is released
    await member.exchange(Batch(done=ids(first)[:-1], released=ids(first)[-1:]))
    # Then it is the next one
    assert await drain(member, shelf) == numbers(55)[CHUNK - 1 :]


async def test_a_failed_request_goes_behind_all(crawl: Crawl) -> None:
    # Given a deep queue
    member, shelf = await deep_crawl(crawl)
    # When its first request fails
    failed = Failed((await want(member, 1)).leases[0].id, "went wrong")
    await member.exchange(Batch(failed=[failed]))
    # Then it is the last to be tried again
    assert await drain(member, shelf) == [*numbers(55)[1:], "0"]


async def test_links_found_while_chunks_are_out_go_behind_them(crawl: Crawl) -> None:
    # Given a deep queue that is half leased, so that chunks have come back
    member, shelf = await deep_crawl(crawl)
    order = []
    for _ in range(3):
        await shelf.fetch_wanted()
        reply = await want(member, 9)
        order += names(reply)
        await member.exchange(Batch(done=ids(reply)))
    # When more links are found
    await give(member, [link(f"new {n}") for n in range(25)])
    await shelf.spill()
    # Then they come behind all others
    assert order + await drain(member, shelf) == [*numbers(55), *(f"new {n}" for n in range(25))]


async def test_a_chunk_is_asked_for_before_its_front_is_empty(crawl: Crawl) -> None:
    # Given a deep queue whose chunks are out
    member, shelf = await deep_crawl(crawl)
    # When half of the front is leased
    await want(member, CHUNK // 2 - 1)
    assert (await shelf.plan(None)).wanted == []
    await want(member, 1)
    # Then the first chunk is wanted, and the host never waits
    (chunk,) = (await shelf.plan(None)).wanted
    assert (chunk.length, chunk.there, chunk.host) == (CHUNK, 0, HOST)
    await shelf.fetch(chunk)
    assert names(await want(member, 15)) == numbers(20)[5:]


async def test_a_host_whose_requests_are_out_holds_up_no_other(crawl: Crawl) -> None:
    # Given many hosts whose next requests are out, and one with a request
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    hosts = [f"{n}.example" for n in range(20)]
    for _ in range(3):
        await give(member, [found for host in hosts for found in links(CHUNK, host)])
    await shelf.spill()
    while (await want(member, 100)).leases:
        pass
    await give(member, [link("other", "other.example")])
    # When fewer requests are wanted than there are hosts that wait
    reply = await want(member, 5)
    # Then the other is served, and those that wait are not asked all the time
    assert names(reply) == ["other"]
    assert (await want(member, 5)).due_ms > 500


async def test_what_can_not_be_found_holds_up_no_other(crawl: Crawl) -> None:
    # Given two hosts that wait for their chunks
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    for _ in range(3):
        await give(member, links(CHUNK, "a.example") + links(CHUNK, "b.example"))
    await shelf.spill()
    while (await want(member, 100)).leases:
        pass
    (first,) = (await shelf.deep.plan(None, 1)).wanted
    crawl.redis.zadd(f"{crawl.base}:wanted", {first.id: 1})
    # When the first that is wanted can't be found
    await shelf.deep.fetched(first, 0, [])
    # Then the other one is the first
    (second,) = (await shelf.deep.plan(None, 1)).wanted
    assert second.host != first.host


async def test_a_host_goes_on_as_soon_as_its_chunk_is_back(crawl: Crawl) -> None:
    # Given a host that waits for a chunk
    member, shelf = await deep_crawl(crawl)
    await want(member, CHUNK)
    assert names(await want(member, 10)) == []
    # When the chunk comes back, in several parts
    (chunk,) = (await shelf.plan(None)).wanted
    await shelf.fetch(chunk, step=3)
    # Then it is leased at once
    assert names(await want(member, 10)) == numbers(20)[10:]


async def test_each_step_twice_has_no_second_effect(crawl: Crawl) -> None:
    # Given a queue with chunks
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    await give(member, links(CHUNK))
    for _ in range(3):
        await give(member, links(CHUNK))
    # When each step of moving them out and back is done twice
    chunks = (await shelf.plan()).spill
    for chunk in [*chunks, *chunks]:
        await shelf.write(chunk)
    assert [await shelf.deep.spilled(chunks), await shelf.deep.spilled(chunks)] == [3, 0]
    state = crawl.state()
    await shelf.deep.spilled(chunks)
    assert crawl.state() == state
    await want(member, CHUNK)
    (wanted,) = (await shelf.plan(None)).wanted
    elements = shelf.held[wanted.name]
    for _ in range(2):
        assert await shelf.deep.fetched(wanted, 0, elements[:4]) == 4
        assert await shelf.deep.fetched(wanted, 7, elements[7:]) == 4
    for _ in range(2):
        assert await shelf.deep.fetched(wanted, 4, elements[4:]) == CHUNK
    # Then nothing is missing or there twice
    counts = (await want(member, 0)).counts
    assert (counts.queued, in_redis(crawl)) == (30, 10)
    assert await drain(member, shelf) == numbers(CHUNK) * 3


async def test_one_worker_moves_at_a_time_and_another_takes_over(crawl: Crawl) -> None:
    # Given a worker that moves
    await deep_crawl(crawl)
    first, second = shelf_of(crawl, "first"), shelf_of(crawl, "second")
    crawl.redis.delete(f"{crawl.tag}:mover")
    assert (await first.deep.plan(0, 1, hold_ms=LONG_MS)).mover
    # When another asks, and again after the first one's time is over
    refused = await second.deep.plan(0, 1, hold_ms=LONG_MS)
    crawl.redis.pexpire(f"{crawl.tag}:mover", 0)
    # Then it moves only then
    assert not refused.mover
    assert (await second.deep.plan(0, 1, hold_ms=LONG_MS)).mover
    assert not (await first.deep.plan(0, 1, hold_ms=LONG_MS)).mover


async def test_two_movers_at_once_do_no_harm(crawl: Crawl) -> None:
    # Given two movers of one crawl, each of which believes to be alone
    member, one = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    two = Shelf(one.deep, one.held)
    for found in links(95):
        await give(member, [found])
    # When they move the same chunks at the same time, in turns
    plans = [(await one.plan()).spill, (await two.plan()).spill]
    assert {c.id for c in plans[0]} == {c.id for c in plans[1]}
    for a, b in zip(*plans, strict=True):
        await one.write(a)
        await two.write(b)
    assert await one.deep.spilled(plans[0][:5]) == 5
    assert await two.deep.spilled(plans[1]) == len(plans[1]) - 5
    await want(member, CHUNK)
    wanted = [(await one.plan(None)).wanted[0], (await two.plan(None)).wanted[0]]
    for at in range(0, CHUNK, 2):
        for mover, chunk in ((one, wanted[0]), (two, wanted[1])):
            await mover.deep.fetched(chunk, at, one.held[chunk.name][at : at + 2])
    # Then each request comes once and in order
    assert await drain(member, one) == numbers(95)[CHUNK:]


async def test_a_chunk_that_came_to_the_front_while_it_was_written_stays(crawl: Crawl) -> None:
    # Given a chunk that is being written
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    for found in links(25):
        await give(member, [found])
    (chunk,) = (await shelf.plan()).spill
    await shelf.write(chunk)
    # When it comes to the front before it is out
    await want(member, CHUNK)
    # Then it isn't dropped
    assert await shelf.deep.spilled([chunk]) == 0
    assert names(await want(member, 20)) == numbers(25)[CHUNK:]


async def test_a_mover_that_was_away_too_long_has_no_effect(crawl: Crawl) -> None:
    # Given a chunk that was written by a worker that then froze
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    for found in links(25):
        await give(member, [found])
    (chunk,) = (await shelf.plan()).spill
    await shelf.write(chunk)
    # When it wakes up after its name may have been deleted
    crawl.redis.zadd(f"{crawl.tag}:returned", {chunk.name: 1})
    # Then the chunk stays
    assert await shelf.deep.spilled([chunk]) == 0
    assert await drain(member, shelf) == numbers(25)


async def test_names_are_stale_only_some_time_after_they_are_needed(crawl: Crawl) -> None:
    # Given a chunk that was moved out, another that was written only, and one that came back
    member, shelf = await deep_crawl(crawl, 45)
    assert (await shelf.plan(None, keep_ms=-1)).stale == []
    await want(member, CHUNK)
    (back,) = (await shelf.plan(None)).wanted
    await shelf.fetch(back)
    await give(member, links(CHUNK))
    (written,) = (await shelf.plan()).spill
    # When it is asked at once, and when their time is over
    assert (await shelf.plan(None)).stale == []
    stale = (await shelf.plan(None, keep_ms=-1)).stale
    # Then those that are not needed are to be deleted, until they are
    assert sorted(stale) == sorted([back.name, written.name])
    await shelf.deep.forget(stale)
    assert (await shelf.plan(None, keep_ms=-1)).stale == []


async def test_a_cleared_crawl_gives_up_what_is_out(crawl: Crawl) -> None:
    # Given a crawl with chunks out, back and in Redis
    member, shelf = await deep_crawl(crawl, 75)
    await want(member, CHUNK)
    await shelf.fetch_wanted()
    await give(member, links(15))
    await member.leave()
    # When the next run begins anew, as it is asked to
    other = await crawl.join(flush=True, limit=0, chunk=CHUNK)
    await crawl.frontier.purge()
    # Then nothing of the old generation is left, all names are stale, and nothing counts as out
    assert crawl.key_names("1:*") == []
    assert sorted((await shelf.plan(None, keep_ms=-1)).stale) == sorted(shelf.held)
    assert (await shelf.plan()).out == 0
    assert await drain(other, shelf) == []


async def test_a_late_step_of_a_cleared_crawl_changes_nothing(crawl: Crawl) -> None:
    # Given a mover amid its work
    member, shelf = await deep_crawl(crawl)
    await want(member, CHUNK)
    (chunk,) = (await shelf.plan(None)).wanted
    await give(member, links(CHUNK))
    written = (await shelf.plan()).spill
    # When the crawl is cleared, and the mover goes on
    await member.leave()
    await crawl.join(flush=True, chunk=CHUNK)
    await crawl.frontier.purge()
    state = crawl.state()
    await shelf.deep.fetched(chunk, 0, shelf.held[chunk.name])
    assert await shelf.deep.spilled(written) == 0
    # Then nothing has changed
    assert crawl.state() == state


async def test_a_queue_that_was_long_before_is_cut(crawl: Crawl) -> None:
    # Given a long queue of a crawl without chunks, as an import or an earlier version leaves it
    member, shelf = await crawl.join(limit=0), shelf_of(crawl)
    await give(member, links(95))
    await member.leave()
    member = await crawl.join(limit=0, chunk=CHUNK)
    await give(member, [link("new")])
    # When it is cut
    cursor, made = await shelf.deep.cut(0, CHUNK)
    # Then the front is short, what was cut off may go, and order is kept
    assert (cursor, made) == (0, 8)
    assert await shelf.spill() == 8
    assert in_redis(crawl) <= 2 * CHUNK + 1
    assert await drain(member, shelf) == [*numbers(95), "new"]


async def test_many_short_queues_are_cut_to_what_is_asked(crawl: Crawl) -> None:
    # Given 30 hosts with 9 requests each
    member, shelf = await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    hosts = [f"{n}.example" for n in range(30)]
    await give(member, [found for host in hosts for found in links(9, host)])
    # When all but two of each are to be in chunks
    cursor, made = 0, 0
    while True:
        cursor, some = await shelf.deep.cut(cursor, 2, hosts=10, most=100)
        made += some
        if not cursor:
            break
    # Then they are, may go, and come back
    assert made == 30
    await shelf.spill()
    assert in_redis(crawl) == 60
    assert sorted(await drain(member, shelf)) == sorted(numbers(9) * 30)


@pytest.mark.parametrize("kind", sorted(TYPES))
@pytest.mark.parametrize("key", ["chunks", "here", "wanted", "tail", "deep", "returned", "mover", "chunk"])
async def test_no_step_fails_on_a_key_of_another_type(crawl: Crawl, key: str, kind: str) -> None:
    # Given a deep queue, one key of which holds something else
    member, shelf = await deep_crawl(crawl)
    await give(member, links(CHUNK))
    at = {
        "tail": f"{crawl.base}:tail:{HOST}:0",
        "deep": f"{crawl.base}:deep:{HOST}:0",
        "returned": f"{crawl.tag}:returned",
        "mover": f"{crawl.tag}:mover",
        "chunk": f"{crawl.base}:chunk:{crawl.redis.lindex(f'{crawl.base}:deep:{HOST}:0', 0).decode()}",
    }.get(key, f"{crawl.base}:{key}")
    crawl.redis.delete(at)
    TYPES[kind](crawl.redis, at)
    # When everything is done that there is
    crawl.redis.delete(f"{crawl.tag}:mover") if key != "mover" else None
    if key == "mover" and kind == "string":
        return
    await give(member, links(CHUNK))
    await shelf.spill()
    await drain(member, shelf)
    await shelf.deep.cut(0, 2)
    await member.leave()
    await crawl.join(flush=True, limit=0, chunk=CHUNK)
    await crawl.frontier.purge()
    # Then no step has failed, and what is new is crawled
    other = await crawl.join(limit=0, chunk=CHUNK)
    await give(other, [link("new", "new.example")])
    assert "new" in names(await want(other, 100))


@pytest.mark.parametrize("record", [b"", b"out", b"here - 10 0", b"out x 9e99 0 h", b"\xff" * 50])
async def test_a_chunk_with_a_record_that_no_worker_wrote_ends_among_the_dead_letters(
    crawl: Crawl, record: bytes
) -> None:
    # Given a chunk that is out, whose record somebody has overwritten
    member, shelf = await deep_crawl(crawl)
    first = crawl.redis.lindex(f"{crawl.base}:deep:{HOST}:0", 0)
    crawl.redis.hset(f"{crawl.base}:chunks", first, record)
    # When all is leased
    order = await drain(member, shelf)
    # Then the others come in order, and a dead letter says what is missing
    assert order == numbers(10) + numbers(55)[20:]
    assert any("was gone" in letter.reason for letter in crawl.letters())


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_in_whatever_order_each_request_comes_once_and_in_order(
    crawl: Crawl, seed: int
) -> None:
    # Given a worker, a mover, and chance
    chance, member, shelf = random.Random(seed), await crawl.join(limit=0, chunk=CHUNK), shelf_of(crawl)
    found = {(host, p): 0 for host in ("a.example", "b.example") for p in (0, 5)}
    leased: dict[tuple[str, int], list[int]] = {queue: [] for queue in found}
    # When links are found, leased and moved in whatever order
    for _ in range(150):
        match chance.randrange(5):
            case 0 | 1:
                host, p = chance.choice(sorted(found))
                number = chance.choice((1, 3, 12, 40))
                first = found[host, p]
                await give(member, [link(str(n), host, p) for n in range(first, first + number)])
                found[host, p] += number
            case 2:
                reply = await want(member, chance.randrange(30))
                for lease in reply.leases:
                    leased[lease.host, lease.priority].append(int(lease.payload))
                await member.exchange(Batch(done=ids(reply)))
            case 3:
                await shelf.spill(chance.choice((0, 20, 60)))
                await shelf.deep.cut(0, chance.choice((2, 5)))
            case 4:
                await shelf.fetch_wanted()
    for host, _ in found:
        crawl.redis.zadd(f"{crawl.base}:ready", {host: 1}, xx=True)
    while True:
        reply = await want(member, 30)
        for lease in reply.leases:
            leased[lease.host, lease.priority].append(int(lease.payload))
        await member.exchange(Batch(done=ids(reply)))
        if not reply.leases and not await shelf.fetch_wanted():
            break
    # Then each queue came in order, and nothing is left
    assert leased == {queue: list(range(number)) for queue, number in found.items()}
    assert (await want(member, 1)).counts.queued == 0
