"""A host's delay counts from when a request went there, not from when it was leased."""

from __future__ import annotations

import pytest

from crawlers.frontier import Batch, Lease, Member

from .crawl import HOST, LONG_MS, Crawl, give, ids, links, names, visit, want


async def _take(member: Member) -> Lease:
    """The one request that `member` gets."""
    (lease,) = (await want(member, 5)).leases
    return lease


async def test_a_host_whose_turn_is_out_gives_no_other_until_it_is_known_when_it_was_used(
    crawl: Crawl,
) -> None:
    # Given a host with a delay of 1 ms, of which a worker has the turn
    first, second = await crawl.join(delay_ms=1), await crawl.join(delay_ms=1)
    await give(first, links(9))
    lease = await _take(first)
    # When another asks, long after the delay, and again once the first has said when it went there
    before = [len((await want(second, 5)).leases) for _ in range(20)]
    await first.exchange(Batch(visits=[(lease.id, 5000)]))
    # Then it gets the next only then
    assert (sum(before), names([await _take(second)])) == (0, ["1"])


async def test_the_delay_counts_from_the_moment_that_the_worker_tells(crawl: Crawl) -> None:
    # Given a turn that was used
    member = await crawl.join(delay_ms=60_000)
    await give(member, links(2))
    lease = await _take(member)
    leased_us = crawl.redis.time()
    # When its worker tells a while later that it was an hour ago, which can't be
    reply = await member.exchange(Batch(visits=[(lease.id, 3_600_000_000)]))
    told_us = crawl.redis.time()
    # Then the host is due after its delay, counted from the lease
    passed_ms = (told_us[0] - leased_us[0]) * 1000 + (told_us[1] - leased_us[1]) / 1000
    assert reply.due_ms is not None
    assert 60_000 - passed_ms - 100 <= reply.due_ms <= 60_010


@pytest.mark.parametrize("end", ["done", "released"])
async def test_a_turn_that_was_not_used_goes_to_the_next(crawl: Crawl, end: str) -> None:
    # Given a turn that is out
    member = await crawl.join(delay_ms=LONG_MS)
    await give(member, links(2))
    lease = await _take(member)
    # When its request ends and never went anywhere, as one that robots.txt forbids
    reply = await member.exchange(Batch(**{end: [lease.id]}, want=1))
    # Then the host is due at once
    assert names(reply) == {"done": ["1"], "released": ["0"]}[end]
    assert [lease.attempts for lease in reply.leases] == [0]


async def test_a_turn_whose_worker_died_is_taken_for_used(crawl: Crawl) -> None:
    # Given a turn that is out with a worker whose time runs out
    first, second = await crawl.join(delay_ms=LONG_MS), await crawl.join(delay_ms=LONG_MS)
    await give(first, links(2))
    await _take(first)
    crawl.expire(first)
    # When another asks
    reply = await want(second, 5)
    # Then the host waits its delay
    assert (reply.leases, reply.counts.queued) == ([], 2)
    assert reply.due_ms is not None
    assert reply.due_ms > LONG_MS - 60_000


async def test_a_turn_of_which_nothing_more_is_heard_holds_its_host_up_for_a_moment_only(
    crawl: Crawl,
) -> None:
    # Given a turn that is out with a worker that may not use it any more
    member = await crawl.join(delay_ms=1, start_ms=0)
    await give(member, links(2))
    await _take(member)
    # When its delay has passed as well
    crawl.bend_manners(next_us=0)
    crawl.bend_work(start_by_us=1)
    # Then the host gives the next, while the first is still leased
    assert names([await _take(member)]) == ["1"]


async def test_a_worker_without_a_free_slot_takes_no_turn(crawl: Crawl) -> None:
    # Given a host with a delay, and a worker all of whose slots are taken
    member = await crawl.join(delay_ms=LONG_MS)
    await give(member, links(2))
    # When it wants requests for later
    reply = await member.exchange(Batch(want=5, slots=0))
    # Then the turn is left to others
    assert (reply.leases, reply.due_ms) == ([], 0)
    assert names([await _take(await crawl.join(delay_ms=LONG_MS))]) == ["0"]


async def test_a_redis_that_was_restarted_takes_all_hosts_for_just_asked(crawl: Crawl) -> None:
    # Given a crawl at work, whose host is due
    member = await crawl.join(delay_ms=LONG_MS)
    await give(member, links(3))
    await visit(member, await want(member, 1))
    crawl.let_delays_pass()
    # When Redis forgets its scripts, as it does when it ends
    crawl.redis.script_flush()
    reply = await want(member, 1)
    # Then the host waits its delay from then on, for what was forgotten with them isn't known
    assert reply.leases == []
    assert reply.due_ms is not None
    assert reply.due_ms > LONG_MS - 60_000


async def test_jitter_spreads_the_delay_by_so_many_percent(crawl: Crawl) -> None:
    # Given 200 hosts with a delay of 100 s, give or take a half
    member = await crawl.join(delay_ms=100_000, jitter=50, limit=0)
    found = [one for n in range(200) for one in links(2, f"{n}.example")]
    await give(member, found)
    # When each was asked once
    await want(member, 200)
    # Then their next moments are spread over it
    now_us = int(crawl.redis.time()[0]) * 1e6
    waits_s = [
        (due - now_us) / 1e6 for _, due in crawl.redis.zrange(f"{crawl.base}:ready", 0, -1, withscores=True)
    ]
    assert 48 < min(waits_s) < 60
    assert 140 < max(waits_s) < 152


async def test_what_a_worker_asks_for_beside_its_leases_takes_turns_as_well(crawl: Crawl) -> None:
    # Given a host with a delay
    member = await crawl.join(delay_ms=60_000)
    await give(member, links(1))
    # When three requests are to go there beside its queue
    waits_s = [await crawl.frontier.take_turn(HOST) for _ in range(3)]
    # Then each has a turn of its own, and the queue waits for the one after
    assert [round(wait_s, -1) for wait_s in waits_s] == [0, 60, 120]
    reply = await want(member, 1)
    assert reply.leases == []
    assert round((reply.due_ms or 0) / 10_000) == 18
    assert ids(reply) == []
