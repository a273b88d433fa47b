"""No host is asked more often, or by more workers at once, than it was promised."""

from __future__ import annotations

import asyncio
import itertools

from crawlers.frontier import Batch, Failed, HostPolicy, Member

from .crawl import HOST, LONG_MS, Crawl, give, ids, link, links, names, visit, want


def _leased_ms(crawl: Crawl) -> list[int]:
    """When, by Redis' clock, each request that is leased now was handed out."""
    records = (
        record for key in crawl.redis.keys(f"{crawl.base}:leases:*") for record in crawl.redis.hvals(key)
    )
    return sorted(int(record.split(b" ", 4)[2]) for record in records)


async def _crawl_one(member: Member) -> None:
    """Leases one page, goes there, and completes it."""
    reply = await want(member, 1)
    await visit(member, reply, done=ids(reply))


async def test_two_leases_of_a_host_are_never_within_its_delay_over_all_workers(crawl: Crawl) -> None:
    # Given three workers, and a host that is owed 15 ms
    members = [await crawl.join(delay_ms=15, limit=0) for _ in range(3)]
    await give(members[0], links(10))
    taken: list[str] = []

    async def take(member: Member) -> None:
        while len(taken) < 10:
            taken.extend(names(reply := await want(member, 5)))
            if reply.leases:
                await visit(member, reply)

    # When all of them ask as fast as they can
    await asyncio.gather(*map(take, members))
    # Then each request came at its time
    moments = _leased_ms(crawl)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert (len(moments), len(set(taken))) == (10, 10)
    assert min(gaps) >= 15


async def test_the_answer_says_when_the_next_host_is_due(crawl: Crawl) -> None:
    # Given two hosts, of which one was just served and one waits since before
    member = await crawl.join(delay_ms=LONG_MS)
    await give(member, [*links(2), *links(3, "b.example")])
    await want(member, 1)
    # When nobody may be asked any more, then the first may again
    reply = await want(member, 5)
    nobody_due = await want(member, 5)
    crawl.let_delays_pass()
    due = await want(member, 0)
    # Then the answer says so
    assert len(reply.leases) == 1
    assert nobody_due.leases == []
    assert nobody_due.due_ms is not None
    assert LONG_MS - 60_000 < nobody_due.due_ms <= LONG_MS
    assert due.due_ms == 0
    crawl.let_delays_pass()
    assert len((await want(member, 5)).leases) == 2


async def test_where_no_host_waits_no_moment_is_told(crawl: Crawl) -> None:
    # Given one request only, which is leased
    member = await crawl.join(delay_ms=LONG_MS)
    await give(member, [link("page")])
    # When more is wanted
    await want(member, 1)
    # Then there is no next moment
    assert (await want(member, 1)).due_ms is None


async def test_a_delay_survives_the_end_of_its_queue(crawl: Crawl) -> None:
    # Given a host whose only page was just done
    member = await crawl.join(delay_ms=LONG_MS)
    await give(member, [link("first")])
    await _crawl_one(member)
    # When a link to it is found
    reply = await member.exchange(Batch(found=[link("second")], want=1))
    # Then it waits its time, and what remembers it goes with it
    assert reply.leases == []
    assert reply.due_ms is not None
    assert reply.due_ms > LONG_MS - 60_000
    crawl.let_delays_pass()
    assert names(await want(member, 1)) == ["second"]


async def test_what_remembers_the_delay_of_an_idle_host_goes_with_it(crawl: Crawl) -> None:
    # Given two hosts whose only pages are done, one of them with a delay
    member = await crawl.join(policy={"slow.example": HostPolicy(LONG_MS, 0)})
    await give(member, [link("1", "slow.example"), link("2", "fast.example")])
    # When both queues are empty
    reply = await want(member, 2)
    await visit(member, reply, done=ids(reply))
    # Then the delay is kept for as long as it lasts, and nothing else
    assert crawl.key_names("manners:*") == ["manners:slow.example"]
    assert crawl.key_names("1:hosts") == []
    assert LONG_MS - 60_000 < crawl.redis.pttl(f"{crawl.tag}:manners:slow.example") <= LONG_MS + 10


async def test_neither_a_flush_nor_a_new_run_forgets_when_a_host_was_asked(crawl: Crawl) -> None:
    # Given a host that was just asked, in a crawl that has finished
    member = await crawl.join(delay_ms=LONG_MS)
    await give(member, [link("page")])
    reply = await want(member, 1)
    assert (await visit(member, reply, done=ids(reply), idle=True)).finished
    await member.leave()
    # When it starts anew, and all is flushed
    again = await crawl.join(delay_ms=LONG_MS, flush=True)
    # Then that host still waits
    assert (await again.exchange(Batch(found=[link("page")], want=1))).leases == []


async def test_a_failed_page_waits_for_its_host_as_any_other(crawl: Crawl) -> None:
    # Given a page under way on a host with a delay
    member = await crawl.join(delay_ms=LONG_MS)
    await give(member, [link("page")])
    lease = (await want(member, 1)).leases[0]
    # When it fails and more is wanted in the same exchange
    failed = [Failed(lease.id, "broken")]
    reply = await member.exchange(Batch(visits=[(lease.id, 0)], failed=failed, want=1))
    # Then it is not tried at once
    assert (reply.leases, reply.counts.queued) == ([], 1)


async def test_a_delay_holds_back_its_own_host_only(crawl: Crawl) -> None:
    # Given a slow host with many requests and one that has no delay
    member = await crawl.join(policy={"slow.example": HostPolicy(LONG_MS, 0)}, limit=0)
    await give(member, [*links(50, "slow.example"), *links(3, "fast.example")])
    # When ten are wanted
    leased = [lease.host for lease in (await want(member, 10)).leases]
    # Then the slow one gives one, the other all
    assert sorted(leased) == ["fast.example"] * 3 + ["slow.example"]


async def test_zero_means_no_delay_and_no_limit(crawl: Crawl) -> None:
    # Given a worker without delay and limit
    member = await crawl.join(delay_ms=0, limit=0)
    await give(member, links(500))
    # When more is wanted than any site would like
    # Then one host gives it all at once
    assert len((await want(member, 500)).leases) == 500


async def test_a_limit_holds_over_all_workers(crawl: Crawl) -> None:
    # Given a host that takes three at once
    first, second = await crawl.join(limit=3), await crawl.join(limit=3)
    await give(first, links(10))
    # When two workers want more
    held = await want(first, 2)
    counts = [len(held.leases), len((await want(second, 10)).leases), len((await want(first, 10)).leases)]
    # Then three are handed out, and one more for each that ends, however it ends
    assert counts == [2, 1, 0]
    one, two = ids(held)
    assert len((await first.exchange(Batch(done=[one], want=10))).leases) == 1
    assert len((await first.exchange(Batch(failed=[Failed(two, "broken")], want=10))).leases) == 1
    crawl.expire(second)
    assert len((await want(first, 10)).leases) == 1


async def test_a_host_at_its_limit_does_not_hold_up_others(crawl: Crawl) -> None:
    # Given a host whose slots are all taken, which was there first, and another one
    member = await crawl.join(limit=2)
    await give(member, links(10))
    assert len((await want(member, 2)).leases) == 2
    await give(member, links(1, "b.example"))
    # When one request is wanted, and another
    replies = [await want(member, 1), await want(member, 1)]
    # Then the other host gives it, and afterwards there is no moment to wait for
    assert [lease.host for lease in replies[0].leases] == ["b.example"]
    assert (replies[1].leases, replies[1].due_ms) == ([], None)


async def test_a_host_beyond_a_limit_that_was_lowered_does_not_hold_up_others(crawl: Crawl) -> None:
    # Given a host of which two requests are leased, and others
    first = await crawl.join(limit=3)
    await give(first, [*links(10), *links(9, "b.example")])
    await want(first, 4)
    # When a worker joins with a limit of one, and asks again and again
    strict = await crawl.join(limit=1, policy={"b.example": HostPolicy(0, 9)})
    leased = [(await want(strict, 1)).leases for _ in range(3)]
    # Then it gets what the other host has
    assert [[lease.host for lease in leases] for leases in leased] == [["b.example"]] * 3


async def test_a_limit_is_kept_where_the_host_has_a_delay_too(crawl: Crawl) -> None:
    # Given a host of which a worker without a limit holds two requests, and whose delay has passed
    first = await crawl.join(delay_ms=LONG_MS, limit=0)
    await give(first, links(5))
    for _ in range(2):
        crawl.let_delays_pass()
        assert len((await want(first, 1)).leases) == 1
    crawl.let_delays_pass()
    # When a worker asks whose limit is two
    strict = await crawl.join(delay_ms=LONG_MS, limit=2)
    # Then it gets none
    assert (await want(strict, 1)).leases == []


async def test_a_host_may_have_terms_of_its_own(crawl: Crawl) -> None:
    # Given a policy for two hosts, and terms for the rest
    member = await crawl.join(
        delay_ms=LONG_MS,
        limit=1,
        policy={"free.example": HostPolicy(0, 0), "narrow.example": HostPolicy(0, 2)},
    )
    await give(member, [*links(9, "free.example"), *links(9, "narrow.example"), *links(9)])
    # When everything is wanted
    leased = [lease.host for lease in (await want(member, 100)).leases]
    # Then each host gives what it may
    assert {host: leased.count(host) for host in set(leased)} == {
        "free.example": 9,
        "narrow.example": 2,
        HOST: 1,
    }


async def test_the_newest_worker_brings_the_policy_for_all(crawl: Crawl) -> None:
    # Given a worker with a policy
    first = await crawl.join(limit=1, policy={HOST: HostPolicy(0, 5), "b.example": HostPolicy(0, 5)})
    await give(first, [*links(9), *links(9, "b.example")])
    # When another one joins with a new policy
    await crawl.join(limit=1, policy={HOST: HostPolicy(0, 3)})
    # Then it holds for the first one too, and what it leaves out is as for all hosts
    leased = [lease.host for lease in (await want(first, 100)).leases]
    assert (leased.count(HOST), leased.count("b.example")) == (3, 1)
