"""What a worker doesn't know waits for one that does; a busy worker is alive, and let go when it must be."""

from __future__ import annotations

import time

from crawlers.frontier import Batch
from tests.contract.crawl import LONG_MS, Crawl, give, ids, link, links, names, want

WAIT_MS = 60_000


def _pass(crawl: Crawl) -> None:
    """Lets the pause of all that is parked pass."""
    for worker in crawl.redis.zrange(f"{crawl.tag}:workers", 0, -1):
        if worker.startswith(b"waits-for-"):
            crawl.redis.zadd(f"{crawl.tag}:workers", {worker: 1})


async def test_what_is_parked_is_leased_again_after_a_pause_and_no_attempt_is_counted(crawl: Crawl) -> None:
    # Given a worker that holds three requests
    member = await crawl.join()
    await give(member, links(3))
    reply = await want(member, 3)
    # When it parks two of them
    first, second, third = ids(reply)
    assert await member.park({first: "unknown", second: "unknown"}, WAIT_MS) == 0
    # Then nobody gets them at once, and they count, so that the crawl isn't over
    reply = await member.exchange(Batch(done=[third], want=3, idle=True))
    assert (names(reply), reply.counts.leased, reply.counts.done, reply.finished) == ([], 2, 1, False)
    # And after a pause they are leased again as they were, and the counters hold
    _pass(crawl)
    again = await want(member, 3)
    assert (names(again), {lease.attempts for lease in again.leases}) == (["0", "1"], {0})


async def test_what_is_parked_takes_no_slot_of_its_host(crawl: Crawl) -> None:
    # Given a host that may be asked one at a time, and its first request parked
    member = await crawl.join(limit=1)
    await give(member, links(2))
    (first,) = ids(await want(member, 1))
    await member.park({first: "unknown"}, WAIT_MS)
    # When a worker wants more, then it gets the next
    assert names(await want(member, 2)) == ["1"]


async def test_what_nobody_knows_for_long_enough_is_a_dead_letter_that_says_so(crawl: Crawl) -> None:
    # Given a request that was parked before, and one that never was
    member = await crawl.join()
    await give(member, [link("old"), link("new")])
    old, new = ids(await want(member, 2))
    parked = f"{crawl.base}:parked"
    crawl.redis.zadd(parked, {b"old": (time.time() - 61) * 1000})
    # When both are parked
    assert await member.park({old: "no such callback", new: "no such callback"}, WAIT_MS) == 1
    # Then the old one is a dead letter
    (letter,) = crawl.letters()
    assert (letter.payload, letter.reason) == (b"old", "no such callback")
    # And nothing is remembered for longer than it matters
    assert crawl.redis.zrange(parked, 0, -1) == [b"new"]
    assert 0 < crawl.redis.pttl(parked) <= 2 * WAIT_MS + 20_000


async def test_parking_what_one_does_not_hold_changes_nothing(crawl: Crawl) -> None:
    # Given a request that is another worker's
    member, other = await crawl.join("one"), await crawl.join("other")
    await give(member, links(1))
    held = ids(await want(other, 1))
    # When a worker parks it, or one that was taken for dead its own
    await member.park({held[0]: "unknown"}, WAIT_MS)
    crawl.expire(other)
    await give(member, [])
    await other.park({held[0]: "unknown"}, WAIT_MS)
    # Then it is queued, once
    reply = await want(member, 5)
    assert (names(reply), reply.counts.leased) == (["0"], 1)


async def test_a_lease_is_renewed_for_who_is_alive_and_for_nobody_else(crawl: Crawl) -> None:
    # Given a worker whose time is short, and one whose time is over
    member, late = await crawl.join("one", ttl_ms=1000), await crawl.join("late")
    crawl.expire(late)
    # When both are renewed, and one that never was
    renewed = [await crawl.frontier.renew(name, LONG_MS) for name in (member.name, late.name, "nobody")]
    # Then only the living one is
    assert renewed == [True, False, False]
    assert crawl.redis.zscore(f"{crawl.tag}:workers", member.name) > (time.time() + 1800) * 1000
    assert not crawl.redis.zscore(f"{crawl.tag}:workers", "nobody")


async def test_who_is_let_go_loses_all_and_one_page_an_attempt(crawl: Crawl) -> None:
    # Given a worker with three requests, one of which blocks it
    member = await crawl.join()
    await give(member, links(3))
    _, blocking, _ = ids(await want(member, 3))
    # When it is let go, twice
    let_go = [await crawl.frontier.let_go(member.name, blocking, "it blocks", 2) for _ in range(2)]
    assert let_go == [True, False]
    # Then it is fenced, and the page that blocks is tried behind the others
    assert (await want(member, 3)).fenced
    other = await crawl.join("other")
    reply = await want(other, 3)
    assert [(lease.payload, lease.attempts) for lease in reply.leases] == [(b"0", 0), (b"2", 0), (b"1", 1)]
    # And is a dead letter when that was its last attempt
    await crawl.frontier.let_go(other.name, ids(reply)[2], "it blocks", 2)
    (letter,) = crawl.letters()
    assert (letter.payload, letter.reason, letter.attempts) == (b"1", "it blocks", 2)
