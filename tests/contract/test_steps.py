"""However large a crawl and whatever its shape: a call does a bounded part, and the next the rest."""

from __future__ import annotations

import asyncio

import pytest

from crawlers.frontier import Batch, Found, HostPolicy, Member, News, Terms, scripts
from crawlers.scheduler.completion import Ended
from crawlers.scheduler.hostkeys import HostKeys
from crawlers.scheduler.load import MOST_FOUND_COST, QUEUE_COST
from crawlers.scheduler.outbox import Outbox

from .crawl import HOST, LONG_MS, Crawl, give, link, links, names, want

MOST_TAKEN_BACK = 64
HELD = 3 * MOST_TAKEN_BACK - 50


async def _holding(crawl: Crawl, number: int) -> Member:
    """A worker that holds so many leases, of hosts in turn."""
    member = await crawl.join("holder", limit=0)
    await give(member, [link(str(n), f"{n % 7}.example") for n in range(number)])
    assert len((await want(member, number)).leases) == number
    return member


def _is_conserved(crawl: Crawl, number: int) -> bool:
    """All that was queued is in a queue or leased, by the keys and by the counters."""
    meta = {
        name: int(value)
        for name, value in crawl.redis.hgetall(f"{crawl.tag}:meta").items()
        if value.isdigit()
    }
    recount = crawl.recount()
    assert recount.queued.total() == meta[b"queued"]
    assert recount.leased.total() == meta.get(b"leased", 0)
    assert recount.active_of == {host: int(crawl.work(host)["active"]) for host in recount.active_of}
    return recount.queued.total() + recount.leased.total() == number


async def test_what_a_dead_worker_held_goes_back_bit_by_bit_and_is_there_at_every_moment(
    crawl: Crawl,
) -> None:
    # Given a worker that dies with many leases
    dead = await _holding(crawl, HELD)
    other = await crawl.join("other", limit=0)
    crawl.expire(dead)
    left = []
    # When another makes exchanges
    while dead.name.encode() in crawl.redis.zrange(f"{crawl.tag}:workers", 0, -1):
        prepared = other.prepare(Batch())
        await other.send(prepared)
        once = crawl.state()
        await other.send(prepared)
        # Then each takes back a part, of which nothing is lost, also where it is sent twice
        left.append(crawl.redis.hlen(f"{crawl.base}:leases:{dead.name}"))
        assert _is_conserved(crawl, HELD)
        assert {k: v for k, v in once.items() if "workers" not in k} == {
            k: v for k, v in crawl.state().items() if "workers" not in k
        }
        # And the dead one is fenced from the first of them on
        assert (await dead.exchange(Batch(want=9))).fenced
    assert left == [HELD - MOST_TAKEN_BACK, HELD - 2 * MOST_TAKEN_BACK, 0]
    again = (await want(other, HELD)).leases
    assert sorted(int(name) for name in names(again)) == list(range(HELD))
    assert {lease.attempts for lease in again} == {1}
    assert crawl.redis.hget(f"{crawl.tag}:meta", "reaped") == b"1"


async def test_who_leaves_gives_back_all_in_steps_and_no_attempt_is_counted(crawl: Crawl) -> None:
    # Given a worker with many leases, when it leaves, then all are queued as they were
    member = await _holding(crawl, HELD)
    await member.leave()
    assert _is_conserved(crawl, HELD)
    again = (await want(await crawl.join(limit=0), HELD)).leases
    assert (len(again), {lease.attempts for lease in again}) == (HELD, {0})


async def test_who_dies_amid_its_leaving_has_left(crawl: Crawl) -> None:
    # Given a worker that has given back a part when it dies
    member = await _holding(crawl, HELD)
    values = {"worker": member.name, "persist": False}
    assert await scripts.LEAVE(crawl.frontier.client, crawl.frontier.keys, scripts.pack_input(values)) == -1
    # When another joins, then the rest is there, and no attempt is counted
    other = await crawl.join("other", limit=0)
    assert _is_conserved(crawl, HELD)
    again = (await want(other, HELD)).leases
    assert (len(again), {lease.attempts for lease in again}) == (HELD, {0})
    assert len((await crawl.frontier.status()).workers) == 1


async def test_many_dead_workers_are_gone_when_another_has_joined(crawl: Crawl) -> None:
    # Given fifty dead workers with some leases each
    members = [await crawl.join(str(n), limit=0) for n in range(50)]
    await give(members[0], links(500))
    for member in members:
        assert len((await want(member, 10)).leases) == 10
    for member in members:
        crawl.expire(member)
    # When one joins, then it is the only one, and all is queued
    _, joined = await crawl.frontier.join("new", Terms(ttl_ms=LONG_MS))
    assert (joined.workers, joined.queued) == (0, 500)


async def test_the_pages_of_given_up_hosts_become_dead_letters_a_hundred_at_a_time(crawl: Crawl) -> None:
    # Given twenty hosts that are given up, and one that is well
    member = await crawl.join(strikes=1, rest_ms=LONG_MS, rests=1)
    hosts = [f"{n}.example" for n in range(20)]
    await give(member, [one for host in hosts for one in links(50, host)])
    for host in hosts:
        await member.exchange(Batch(news=[News.trouble(host, "HTTP 503")]))
        crawl.bend_manners(host, rests=2, wake_us=1)
        crawl.redis.zadd(f"{crawl.base}:ready", {host: 1})
    await give(member, links(9, "well.example"))
    # When leases are wanted
    first = await want(member, 40)
    second = await want(member, 40)
    # Then no exchange buries more, and the one that is well is served soon
    assert (first.counts.dead, second.counts.dead <= 200) == (100, True)
    leased = [lease.host for lease in (*first.leases, *second.leases)]
    assert "well.example" in leased
    counts = second.counts
    assert counts.enqueued == counts.done + counts.queued + counts.leased + counts.dead


async def test_an_exchange_leases_about_a_megabyte_and_the_next_the_rest(crawl: Crawl) -> None:
    # Given requests of half a megabyte
    member = await crawl.join(limit=0)
    for n in range(20):
        await give(member, [Found(None, HOST, 0, bytes([65 + n]) * 500_000)])
    # When all are wanted
    leased = []
    while reply := (await want(member, 20)).leases:
        leased.append([lease.payload[:1] for lease in reply])
    # Then they come in their order, some at a time
    assert b"".join(b"".join(some) for some in leased) == bytes(range(65, 85))
    assert max(map(len, leased)) <= 4


async def test_the_settings_of_many_hosts_hold_from_the_joining_on(crawl: Crawl) -> None:
    # Given settings of more hosts than go in one call
    policy = {f"{n}.example": HostPolicy(1000 + n, 1) for n in range(1234)}
    # When a worker joins with them, then all hold, and nothing is left beside them
    await crawl.join(policy=policy)
    assert crawl.redis.hlen(f"{crawl.tag}:policy") == 1235
    assert crawl.redis.hget(f"{crawl.tag}:policy", "7.example") == b"1007 1 0"
    assert crawl.redis.ttl(f"{crawl.tag}:policy") == -1
    assert crawl.key_names("policy*") == ["policy"]


async def test_a_cleared_host_of_many_priorities_is_freed(crawl: Crawl) -> None:
    # Given a host with requests of a thousand priorities, and others
    member = await crawl.join()
    await give(member, [link(str(n), priority=n) for n in range(1000)])
    await give(member, [link(str(n), f"{n}.example") for n in range(100)])
    await member.leave()
    # When the crawl is cleared and its memory freed
    await crawl.join(flush=True)
    await crawl.frontier.purge()
    # Then nothing is left of them
    assert crawl.key_names("1:*") == []


@pytest.mark.parametrize(
    ("made", "number"),
    [
        (lambda n: link(str(n), f"{n}.example"), 1 + (MOST_FOUND_COST - 1) // (1 + QUEUE_COST)),
        (lambda n: link(str(n), priority=n), 1 + (MOST_FOUND_COST - 1) // (1 + QUEUE_COST)),
        (lambda n: link(str(n)), MOST_FOUND_COST - QUEUE_COST),
        (lambda _: link("x" * 500_000), 3),
    ],
    ids=["hosts", "priorities", "one queue", "large"],
)
async def test_links_go_out_by_what_they_cost_redis(made, number: int) -> None:  # type: ignore[no-untyped-def]
    # Given many links of one shape
    outbox = Outbox(lambda: None, asyncio.get_running_loop().time, HostKeys("host"))
    for n in range(3000):
        outbox.put(made(n))
    # When exchanges are filled, then each takes what Redis can do with in a few ms, one behind the other
    first, second = Batch(), Batch()
    assert not outbox.fill(first)
    assert not outbox.fill(second)
    assert abs(len(first.found) - number) <= 1
    assert second.found[0] == made(len(first.found))


def test_leases_that_ended_go_out_so_many_at_a_time() -> None:
    # Given more leases that ended than an exchange takes
    ended = Ended(done=list(range(250)), released=list(range(300, 310)))
    # When they are taken, then none is lost or comes twice
    taken = [ended.take(100) for _ in range(3)]
    assert [each.done for each in taken] == [list(range(100)), list(range(100, 200)), list(range(200, 250))]
    assert [each.released for each in taken] == [list(range(300, 310)), [], []]
    assert not ended
