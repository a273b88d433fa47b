"""What is queued, how often, and in which order it is handed out."""

from __future__ import annotations

from collections import Counter

import pytest

from crawlers.frontier import Batch, Found

from .crawl import HOST, Crawl, give, ids, link, links, names, want


async def test_a_link_is_queued_once_whoever_finds_it_and_however_often(crawl: Crawl) -> None:
    # Given two workers
    first, second = await crawl.join(), await crawl.join()
    # When both find the same link, one of them twice in one batch
    replies = [
        await give(first, [link("page", fingerprint=7), link("page", fingerprint=7)]),
        await give(second, [link("page", fingerprint=7)]),
    ]
    # Then it is queued once, and each is told how many were known
    assert names(await want(first, 10)) == ["page"]
    assert [reply.known for reply in replies] == [1, 1]
    assert (replies[-1].counts.enqueued, replies[-1].counts.dropped) == (1, 2)


async def test_a_link_that_is_done_is_still_known(crawl: Crawl) -> None:
    # Given a page that is done
    member = await crawl.join()
    await give(member, [link("page", fingerprint=7)])
    await member.exchange(Batch(done=ids(await want(member, 1))))
    # When it is found again
    reply = await give(member, [link("page", fingerprint=7)])
    # Then it is dropped
    assert (reply.known, reply.counts.queued) == (1, 0)


async def test_a_link_without_a_fingerprint_is_queued_each_time(crawl: Crawl) -> None:
    # Given a link that is not to be deduplicated
    member = await crawl.join()
    # When it is found three times
    await give(member, [link("page"), link("page")])
    await give(member, [link("page")])
    # Then it is handed out three times
    assert names(await want(member, 10)) == ["page"] * 3


async def test_a_link_found_under_another_host_is_the_same_link_by_its_fingerprint(crawl: Crawl) -> None:
    # Given one worker
    member = await crawl.join()
    # When one fingerprint is found under two hosts
    reply = await give(member, [link("1", "a.example", fingerprint=7), link("2", "b.example", fingerprint=7)])
    # Then the first one counts
    assert (reply.known, names(await want(member, 10))) == (1, ["1"])


async def test_requests_come_by_priority_then_by_age(crawl: Crawl) -> None:
    # Given links of several priorities, found in several batches
    member = await crawl.join(limit=0)
    await give(member, [link("low", priority=-5), link("middle 1"), link("high 1", priority=10)])
    await give(member, [link("middle 2"), link("high 2", priority=10), link("top", priority=1_000_000_000)])
    # When all are leased
    leases = (await want(member, 10)).leases
    # Then the highest priority comes first, and of one priority the oldest
    assert names(leases) == ["top", "high 1", "high 2", "middle 1", "middle 2", "low"]
    assert [lease.priority for lease in leases] == [1_000_000_000, 10, 10, 0, 0, -5]


async def test_payloads_come_back_byte_by_byte(crawl: Crawl) -> None:
    # Given payloads of all bytes, with spaces and line ends where the frontier has separators
    payloads = [bytes(range(256)), b" 0 1 ", b"\r\n", b"", b"9 9 9"]
    member = await crawl.join(limit=0)
    # When they go through queue, lease, failure and queue
    await give(member, [Found(None, HOST, 0, payload) for payload in payloads])
    first = await want(member, 10)
    crawl.expire(member)
    other = await crawl.join(limit=0)
    # Then they are what they were
    assert [lease.payload for lease in first.leases] == payloads
    assert [lease.payload for lease in (await want(other, 10)).leases] == payloads


async def test_hosts_are_served_in_turn(crawl: Crawl) -> None:
    # Given three hosts with three requests each
    member = await crawl.join(limit=0)
    hosts = ["a.example", "b.example", "c.example"]
    await give(member, [found for host in hosts for found in links(3, host)])
    # When one request is leased at a time
    served = [(await want(member, 1)).leases[0].host for _ in range(9)]
    # Then no host comes again before the others had their turn
    assert [set(served[at : at + 3]) for at in (0, 3, 6)] == [set(hosts)] * 3


async def test_each_host_has_its_share_of_a_batch(crawl: Crawl) -> None:
    # Given a host with 1,000 requests, found first, and four with few
    member = await crawl.join(limit=0)
    await give(member, links(1000, "deep.example"))
    shallow = [f"{n}.example" for n in range(4)]
    await give(member, [found for host in shallow for found in links(2, host)])
    # When 20 are leased
    leased = Counter(lease.host for lease in (await want(member, 20)).leases)
    # Then all of the shallow ones are among them, and the deep one fills up the rest
    assert leased == {"deep.example": 12, **dict.fromkeys(shallow, 2)}


async def test_a_batch_is_filled_from_however_many_hosts_have_little(crawl: Crawl) -> None:
    # Given 30 hosts with one request each
    member = await crawl.join()
    await give(member, [link("page", f"{n}.example") for n in range(30)])
    # When 20 and again 20 are leased
    replies = [await want(member, 20), await want(member, 20)]
    # Then each host is served once
    assert [len(reply.leases) for reply in replies] == [20, 10]
    assert len({lease.host for reply in replies for lease in reply.leases}) == 30


@pytest.mark.parametrize("deduplicated", [True, False])
async def test_ten_thousand_links_and_leases_go_in_one_exchange(crawl: Crawl, deduplicated: bool) -> None:
    # Given 10,000 links to one host, more than fit on the stack of Redis' Lua
    member = await crawl.join(limit=0)
    found = [link(str(n), fingerprint=n if deduplicated else None) for n in range(10_000)]
    # When they are handed in, leased, given back by a death, leased again and completed, at once each
    assert (await give(member, found)).counts.queued == 10_000
    assert len((await want(member, 10_000)).leases) == 10_000
    crawl.expire(member)
    other = await crawl.join(limit=0)
    prepared = other.prepare(Batch(want=10_000))
    leased = await other.send(prepared)
    # Then none is missing, in the reply and in its repetition
    assert sorted(map(int, names(leased))) == list(range(10_000))
    assert (await other.send(prepared)).leases == leased.leases
    counts = (await other.exchange(Batch(done=ids(leased)))).counts
    assert (counts.done, counts.queued, counts.leased, counts.dead) == (10_000, 0, 0, 0)
