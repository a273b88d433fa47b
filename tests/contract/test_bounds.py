"""Any number may come from outside: what the next layer can't take is bounded, and stops nobody."""

from __future__ import annotations

import math
from typing import Any

import pytest

from crawlers.frontier import Batch, Failed, News, Refused, ms_of, within
from crawlers.frontier.operations import Crawl as Operated
from crawlers.frontier.operations import dead, hosts, overview

from .crawl import HOST, LONG_MS, Crawl, give, ids, link, links, names, visit, want

NUMBERS = [
    math.nan,
    math.inf,
    -math.inf,
    -5,
    -1e300,
    10**400,
    -(10**400),
    2**64,
    1e308,
    "9",
    None,
    b"1",
    True,
]
MINUTE_MS = 60_000


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: repr(number)[:20])
def test_a_number_from_outside_is_within_its_range(number: Any) -> None:
    # Given any number, when it is bounded, then it is a whole one within its range
    for bounded in (within(number, -7, 9), within(number, -7, 9, 3), ms_of(number)):
        assert type(bounded) is int
    assert -7 <= within(number, -7, 9) <= 9
    assert 0 <= ms_of(number) <= 2**40


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: repr(number)[:20])
async def test_no_number_of_a_host_keeps_an_exchange_from_going_out(crawl: Crawl, number: Any) -> None:
    # Given what was seen of a host, with any number in it
    member = await crawl.join(robots=True, throttle=1000)
    news = [
        News.robots(HOST, number, LONG_MS),
        News.robots(HOST, 0, number),
        News.answer(HOST, number, number),
        News.trouble(HOST, "HTTP 429", wait_ms=number),
    ]
    # When it goes out, then what was found with it is queued, and no number in Redis is other than whole
    await member.exchange(Batch(found=links(3), news=news))
    assert (await want(member, 0)).counts.queued == 3
    manners = crawl.manners()
    assert all(manners[name].isdigit() for name in manners if name != "why")


async def test_a_crawl_delay_is_followed_up_to_the_most_that_the_crawl_allows(crawl: Crawl) -> None:
    # Given a host that asks for a day between two requests, of a crawl that allows a minute
    day_s, minute_s = 86_400, 60
    member = await crawl.join(robots=True, crawl_delay_max_ms=minute_s * 1000)
    await give(member, links(3))
    first = await want(member, 1)
    # When its robots.txt is read
    await visit(member, first, news=[News.robots(HOST, day_s * 1000, LONG_MS)], done=ids(first))
    # Then its next page is due within the minute
    due_ms = (await want(member, 1)).due_ms
    assert due_ms is not None
    assert (minute_s - 20) * 1000 < due_ms <= (minute_s + 1) * 1000
    # And an operator sees both
    (host,) = await hosts(await Operated.open(crawl.frontier.client, crawl.frontier.crawl))
    assert host.delay_ms == minute_s * 1000
    assert host.given == "robots.txt, capped: it asks for 86,400 s"


async def test_without_a_most_a_crawl_delay_is_followed_whatever_it_is(crawl: Crawl) -> None:
    # Given a crawl that allows any delay, when a host asks for an hour, then it has it
    member = await crawl.join(robots=True, crawl_delay_max_ms=0)
    await give(member, links(3))
    first = await want(member, 1)
    await visit(member, first, news=[News.robots(HOST, LONG_MS, LONG_MS)], done=ids(first))
    due_ms = (await want(member, 1)).due_ms
    assert due_ms is not None
    assert due_ms > LONG_MS - MINUTE_MS


async def test_what_cannot_be_written_is_set_aside_and_the_rest_of_its_batch_goes_out(crawl: Crawl) -> None:
    # Given a batch with a bad one of each kind amid good ones
    member = await crawl.join()
    await give(member, [link("failing", "b.example"), link("done", "c.example")])
    leased = {lease.payload: lease.id for lease in (await want(member, 2)).leases}
    bad: Any = object()
    batch = Batch(
        found=[link("1"), link("bad")._replace(payload=bad), link("2"), link("worse")._replace(priority=bad)],
        news=[
            News("robots", HOST, (2**70, 0)),
            News.answer("d.example", 5, 200),
            News("answer", HOST, (bad, 1)),
        ],
        refused=[Refused("list", b"pushed", "good"), Refused("list", bad, "bad")],
        failed=[Failed(leased[b"failing"], bad, final=True)],
        done=[leased[b"done"]],
    )
    # When it goes out
    reply = await member.exchange(batch)
    # Then what is good is in the frontier, and what isn't is a dead letter that says why
    assert names(await want(member, 9)) == ["1", "2"]
    reasons = [letter.reason for letter in crawl.letters()]
    assert sum("can't be written" in reason for reason in reasons) == 3
    assert len(reasons) == 5
    counts = reply.counts
    assert counts.enqueued == counts.done + counts.queued + counts.leased + counts.dead
    assert counts.done == 1


async def test_numbers_in_redis_that_are_none_stop_no_operator(crawl: Crawl) -> None:
    # Given a crawl whose records hold what is no number, or far too large a one
    member = await crawl.join()
    await give(member, links(2))
    crawl.redis.hset(f"{crawl.tag}:meta", mapping={"done": "9" * 400, "dropped": "nan", "run": "x"})
    crawl.redis.hset(f"{crawl.base}:worker:{member.name}", mapping={"done": "x", "joined_ms": "1e400"})
    crawl.redis.zadd(f"{crawl.tag}:workers", {member.name: "inf"})
    crawl.redis.hset(f"{crawl.tag}:policy", HOST, "x 1")
    crawl.redis.hset(f"{crawl.base}:pages", HOST, "many")
    crawl.redis.xadd(
        f"{crawl.tag}:dead", {"host": "h", "priority": "high", "attempts": "1e9", "payload": "p"}
    )
    # When an operator looks, then he sees the rest
    operated = await Operated.open(crawl.frontier.client, crawl.frontier.crawl)
    assert (await overview(operated))["queued"] == 2
    assert [host.queued for host in await hosts(operated)] == [2]
    assert [letter.host async for letter in dead(operated)] == ["h"]
    assert (await crawl.frontier.status()).queued == 2
