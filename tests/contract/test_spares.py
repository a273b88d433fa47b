"""A worker with slots of a host at its limit gets requests that follow in them; the limit holds over all."""

from __future__ import annotations

import pytest

from crawlers.frontier import Batch, Failed, HostPolicy, Member, News, Reply, operations

from .crawl import HOST, LONG_MS, Crawl, give, ids, link, links, names, want


async def _fill(crawl: Crawl, want: int = 8, **terms: object) -> tuple[Member, Reply]:
    """A worker that has asked for more of a host than its limit, in a first exchange."""
    member = await crawl.join(**{"limit": 2, **terms})
    return member, await member.exchange(Batch(found=links(20), want=want, spares=[(HOST, 0)]))


async def test_a_worker_gets_more_of_a_host_than_it_has_slots(crawl: Crawl) -> None:
    # Given a host that takes two requests at once / When a worker wants eight
    _, reply = await _fill(crawl)
    # Then it has them in the order of the queue, of which two may start
    assert names(reply) == [str(n) for n in range(8)]
    assert reply.spares == {HOST: 6}
    assert crawl.work()["active"] == "2"


async def test_there_are_four_spares_for_a_slot_at_most(crawl: Crawl) -> None:
    # Given a host that takes one request at a time / When a worker wants twenty
    member, reply = await _fill(crawl, want=20, limit=1)
    # Then it has one and four, and no more when it asks again
    assert (len(reply.leases), reply.spares) == (5, {HOST: 4})
    again = await member.exchange(Batch(want=15, spares=[(HOST, 1)]))
    assert (again.leases, again.spares) == ([], {HOST: 4})


async def test_who_does_not_ask_for_spares_gets_none(crawl: Crawl) -> None:
    # Given a host at its limit / When its worker wants more, and says nothing of spares
    member = await crawl.join(limit=2)
    reply = await member.exchange(Batch(found=links(20), want=8))
    # Then it has what the limit allows
    assert (len(reply.leases), reply.spares) == (2, {})


async def test_who_has_no_slot_of_a_host_gets_no_spares(crawl: Crawl) -> None:
    # Given a host whose slots are a worker's / When another asks for spares
    await _fill(crawl)
    other = await crawl.join(limit=2)
    reply = await other.exchange(Batch(want=4, spares=[(HOST, 0)]))
    # Then it gets none, for it has nothing in whose place they could start
    assert (reply.leases, reply.spares) == ([], {})


@pytest.mark.parametrize("ending", ["done", "failed", "released"])
async def test_a_slot_passes_on_within_its_worker_until_it_has_no_spares(crawl: Crawl, ending: str) -> None:
    # Given a worker with two slots and two spares
    member, reply = await _fill(crawl, want=4)
    active, spares = [], []
    # When its leases end one after the other
    for lease in ids(reply):
        ended = {ending: [Failed(lease, "broken", final=True) if ending == "failed" else lease]}
        spares.append((await member.exchange(Batch(**ended))).spares)
        active.append(crawl.work()["active"])
    # Then the first two endings cost it spares, and the others free its slots
    assert spares == [{HOST: 1}, {}, {}, {}]
    assert active == ["2", "2", "1", "0"]


async def test_who_shares_a_host_with_another_gets_no_spares(crawl: Crawl) -> None:
    # Given a host with three slots, one of which is another worker's
    other, member = await crawl.join(limit=3), await crawl.join(limit=3)
    await give(other, links(20))
    assert len((await want(other, 1)).leases) == 1
    # When a worker wants more than the rest
    reply = await member.exchange(Batch(want=8, spares=[(HOST, 0)]))
    # Then it has the rest, for the other may hear first that the host is to be left alone
    assert (len(reply.leases), reply.spares) == (2, {})


async def test_what_an_exchange_frees_may_be_leased_again_in_it_with_spares(crawl: Crawl) -> None:
    # Given a worker that has used up its spares
    member, reply = await _fill(crawl, want=2)
    # When it completes all in one exchange and wants more
    again = await member.exchange(Batch(done=ids(reply), want=6, spares=[(HOST, 0)]))
    # Then it has the slots anew, and spares for them
    assert (names(again), again.spares) == (["2", "3", "4", "5", "6", "7"], {HOST: 4})


@pytest.mark.parametrize(
    ("terms", "news"),
    [
        ({"delay_ms": LONG_MS}, []),
        ({"throttle": 1000}, []),
        ({"robots": True}, []),
        ({}, [News.trouble(HOST, "HTTP 500", patient=True)]),
        ({"limit": 0}, []),
        ({"policy": {HOST: HostPolicy(LONG_MS, 2)}}, []),
    ],
    ids=["a delay", "a throttle", "an unknown robots.txt", "trouble", "no limit", "a delay of its own"],
)
async def test_a_host_that_is_to_be_asked_with_care_has_no_spares(
    crawl: Crawl, terms: dict[str, object], news: list[News]
) -> None:
    # Given a host with something to mind / When a worker wants more of it than may be open
    member = await crawl.join(**{"limit": 2, **terms})
    await member.exchange(Batch(found=links(20), news=news))
    reply = await member.exchange(Batch(want=20, spares=[(HOST, 0)]))
    # Then all that it gets has a slot
    assert reply.leases
    assert reply.spares == {}


async def test_spares_come_after_all_that_may_start(crawl: Crawl) -> None:
    # Given a host at its limit, and another whose turn is later
    member = await crawl.join(limit=2)
    await give(member, [*links(20), *links(2, "b.example")])
    # When a worker wants six
    reply = await member.exchange(Batch(want=6, spares=[(HOST, 0), ("b.example", 0)]))
    # Then it has what may start at both, and then spares of the first
    assert [lease.host for lease in reply.leases] == [HOST, HOST, "b.example", "b.example", HOST, HOST]
    assert reply.spares == {HOST: 2}


async def test_an_exchange_sent_again_tells_of_its_spares_again(crawl: Crawl) -> None:
    # Given a worker whose reply was lost
    member = await crawl.join(limit=2)
    prepared = member.prepare(Batch(found=links(20), want=8, spares=[(HOST, 0)]))
    lost = await member.send(prepared)
    # When it sends the same again
    again = await member.send(prepared)
    # Then it hears the same
    assert (again.leases, again.spares) == (lost.leases, lost.spares)
    assert again.spares == {HOST: 6}


async def test_spares_and_slots_of_a_dead_worker_are_anothers_again(crawl: Crawl) -> None:
    # Given a worker that dies with two slots and six spares
    dead, _ = await _fill(crawl)
    crawl.expire(dead)
    # When another one asks
    other = await crawl.join(limit=2)
    reply = await other.exchange(Batch(want=8, spares=[(HOST, 0)]))
    # Then it has the same, in the same order
    assert names(reply) == [str(n) for n in range(8)]
    assert (crawl.work()["active"], reply.spares) == ("2", {HOST: 6})
    assert crawl.redis.hget(f"{crawl.tag}:meta", "spares") == b"6"


async def test_who_leaves_gives_back_slots_and_spares(crawl: Crawl) -> None:
    # Given a worker with two slots and six spares / When it leaves
    member, _ = await _fill(crawl)
    await member.leave()
    # Then all wait in the queue in their order, and no slot is taken
    assert (crawl.work()["active"], crawl.recount().queued_of[HOST]) == ("0", 20)
    other = await crawl.join(limit=0)
    assert names(await want(other, 20)) == [str(n) for n in range(20)]


async def test_who_came_first_gives_up_slots_once_its_spares_are_used_up(crawl: Crawl) -> None:
    # Given a worker with both slots of a host and two spares, and another that waits for one
    first, reply = await _fill(crawl, want=4)
    second = await crawl.join(limit=2)
    assert (await want(second, 4)).leases == []
    # When the first completes its pages one by one, and asks for more each time
    held, taken = ids(reply), []
    for _ in range(3):
        again = await first.exchange(Batch(done=[held.pop(0)], want=4, spares=[(HOST, 2)]))
        held += ids(again)
        taken.append(len((await second.exchange(Batch(want=4, spares=[(HOST, 0)]))).leases))
    # Then the second has one of the slots as soon as the first's spares are over
    assert taken == [0, 0, 1]
    assert crawl.work()["active"] == "2"


@pytest.mark.parametrize(
    ("news", "terms"),
    [
        ([News.trouble(HOST, "HTTP 429", wait_ms=LONG_MS)], {}),
        ([News.robots(HOST, 1000, LONG_MS)], {}),
        ([], {"delay_ms": 1000}),
    ],
    ids=["it asks for a pause", "its robots.txt asks for a delay", "its delay is set anew"],
)
async def test_who_has_spares_of_a_host_hears_that_none_is_to_start(
    crawl: Crawl, news: list[News], terms: dict[str, object]
) -> None:
    # Given a worker with spares of a host, of which another one has news
    member, reply = await _fill(crawl)
    assert reply.spared == []
    other = await crawl.join(**{"limit": 2, **terms})
    await other.exchange(Batch(news=news))
    # When the first tells of a page
    again = await member.exchange(Batch(done=ids(reply)[:1]))
    # Then it is to give its spares back, and has none afterwards
    assert (again.spares, again.spared) == ({HOST: 5}, [HOST])
    last = await member.exchange(Batch(released=ids(reply)[3:]))
    assert (last.spares, last.spared) == ({}, [])
    assert crawl.work()["active"] == "2"


async def test_an_operators_check_knows_spares(crawl: Crawl) -> None:
    # Given a worker with slots and spares at two hosts
    member = await crawl.join(limit=2)
    found = [link(str(n), f"{n % 2}.example") for n in range(20)]
    await member.exchange(Batch(found=found, want=12, spares=[("0.example", 0), ("1.example", 0)]))
    of_operator = await operations.Crawl.open(crawl.frontier.client, crawl.frontier.crawl)
    # When an operator has the crawl counted anew
    report = await operations.check(of_operator)
    # Then all fits
    assert report.findings == []


async def test_a_crawl_whose_count_of_spares_is_wrong_can_be_repaired(crawl: Crawl) -> None:
    # Given a crawl that has lost count of its spares, and a host of its slots
    await _fill(crawl)
    crawl.redis.hset(f"{crawl.tag}:meta", "spares", 1)
    crawl.bend_work(active=5)
    of_operator = await operations.Crawl.open(crawl.frontier.client, crawl.frontier.crawl)
    # When it is repaired
    report = await operations.check(of_operator, repair=True)
    # Then both are what they should be
    assert report.findings == []
    assert crawl.redis.hget(f"{crawl.tag}:meta", "spares") == b"6"
    assert crawl.work()["active"] == "2"


async def test_spares_that_no_worker_wrote_do_no_harm(crawl: Crawl) -> None:
    # Given a worker whose record says nonsense of its spares
    member, reply = await _fill(crawl, want=2)
    key = f"{crawl.base}:worker:{member.name}"
    crawl.redis.hset(key, "spares", b"\xff\x00 x 99999999999999999999 b.example -3 " + HOST.encode())
    # When it goes on
    again = await member.exchange(Batch(done=ids(reply), want=2))
    # Then it gets on as ever
    assert names(again) == ["2", "3"]
