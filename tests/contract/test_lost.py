"""A frontier whose keys were removed or replaced says so to each worker; one that went back is made good."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crawlers.frontier import Batch

from .crawl import HOST, Crawl, give, ids, links, names, want

LOSSES: dict[str, Callable[[Crawl], object]] = {
    "FLUSHALL": lambda crawl: crawl.redis.flushall(),
    "DEL meta": lambda crawl: crawl.redis.delete(f"{crawl.tag}:meta"),
    "SET meta": lambda crawl: crawl.redis.set(f"{crawl.tag}:meta", "x"),
    "RENAME meta": lambda crawl: crawl.redis.rename(f"{crawl.tag}:meta", "elsewhere"),
    "an earlier run": lambda crawl: crawl.redis.hset(f"{crawl.tag}:meta", "run", 0),
    "an earlier generation": lambda crawl: crawl.redis.hset(f"{crawl.tag}:meta", "generation", 0),
    "another frontier": lambda crawl: crawl.redis.hincrby(f"{crawl.tag}:meta", "born", 1),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
async def test_a_frontier_that_is_not_what_it_was_is_told_and_takes_nothing(
    own_crawl: Crawl, loss: Callable[[Crawl], object]
) -> None:
    # Given a worker with leases
    member = await own_crawl.join()
    await give(member, links(9))
    leased = await want(member, 3)
    # When the frontier is removed or replaced
    loss(own_crawl)
    before = own_crawl.state()
    reply = await member.exchange(Batch(done=ids(leased), found=links(2), want=3))
    # Then the worker hears that it is lost, and changes nothing
    assert reply.fenced
    assert reply.lost
    assert own_crawl.state().keys() - before.keys() <= {f"{own_crawl.tag}:set-aside:meta"}
    assert reply.leases == []


async def test_a_worker_hears_of_a_frontier_that_another_one_began_anew(own_crawl: Crawl) -> None:
    # Given two workers of a crawl that is emptied, of which one has joined again
    first, second = await own_crawl.join(), await own_crawl.join()
    await give(first, links(9))
    own_crawl.redis.flushall()
    await give(await own_crawl.join(), links(3))
    # When the other exchanges
    # Then it hears so too, though run and generation are the same
    assert (await want(second, 1)).lost


async def test_leases_that_were_removed_are_missed(own_crawl: Crawl) -> None:
    # Given a worker whose leases are removed
    member = await own_crawl.join()
    await give(member, links(3))
    leased = await want(member, 3)
    own_crawl.redis.delete(f"{own_crawl.base}:leases:{member.name}")
    # When it hands them in, Then it hears how many were not there
    assert (await member.exchange(Batch(done=ids(leased)))).missing == 3


@pytest.mark.parametrize("key", ["hosts ready", "ready", f"requests:{HOST}:0"])
async def test_requests_that_nobody_can_lease_are_noticed(own_crawl: Crawl, key: str) -> None:
    # Given a crawl whose queues are removed, or what knows of them
    member = await own_crawl.join()
    await give(member, links(3))
    for name in key.split():
        own_crawl.redis.delete(f"{own_crawl.base}:{name}")
    # When its worker asks for some, Then it hears of it
    replies = [await want(member, 3) for _ in range(2)]
    assert replies[-1].leases == []
    assert replies[-1].missing == -1


async def test_leases_that_no_worker_has_are_noticed(own_crawl: Crawl) -> None:
    # Given a dead worker of which all is removed
    dead, member = await own_crawl.join(), await own_crawl.join()
    await give(dead, links(3))
    await want(dead, 3)
    own_crawl.redis.delete(f"{own_crawl.base}:leases:{dead.name}", f"{own_crawl.base}:worker:{dead.name}")
    own_crawl.redis.zrem(f"{own_crawl.tag}:workers", dead.name)
    # When another worker asks for work, Then it hears of it, rather than that the crawl goes on for ever
    assert (await member.exchange(Batch(want=3, idle=True))).missing == -1


async def test_a_key_with_all_workers_that_was_removed_is_made_anew(own_crawl: Crawl) -> None:
    # Given a worker with leases
    member = await own_crawl.join()
    await give(member, links(3))
    leased = await want(member, 2)
    # When the key of all workers is removed
    own_crawl.redis.delete(f"{own_crawl.tag}:workers")
    # Then it goes on
    reply = await member.exchange(Batch(done=ids(leased), want=3))
    assert not reply.fenced
    assert names(reply) == ["2"]
    assert own_crawl.redis.zcard(f"{own_crawl.tag}:workers") == 1


async def test_a_crawl_that_is_waiting_is_not_taken_for_lost(own_crawl: Crawl) -> None:
    # Given requests of a host with a delay, one of them leased, and a paused crawl
    member, other = await own_crawl.join(delay_ms=60_000), await own_crawl.join(delay_ms=60_000)
    await give(member, links(3))
    # When workers ask and get nothing
    await want(member, 3)
    replies = [await want(worker, 3) for worker in (member, other, member)]
    own_crawl.redis.hset(f"{own_crawl.tag}:meta", "paused", 1)
    replies += [await want(worker, 3) for worker in (member, other)]
    # Then nothing is missed
    assert [reply.missing for reply in replies] == [0] * 5
