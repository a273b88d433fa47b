"""A lease ends once: done, failed, or taken from a worker that died. Late answers change nothing."""

from __future__ import annotations

import pytest

from crawlers.frontier import Batch, Failed, Refused

from .crawl import HOST, LONG_MS, Crawl, Letter, give, ids, link, links, names, want


async def test_what_is_done_is_never_handed_out_again(crawl: Crawl) -> None:
    # Given a page under way
    member = await crawl.join()
    await give(member, [link("page")])
    leased = await want(member, 1)
    # When it is done
    reply = await member.exchange(Batch(done=ids(leased), want=5))
    # Then nothing is left of it but the count
    assert reply.leases == []
    assert (reply.counts.enqueued, reply.counts.done, reply.counts.leased) == (1, 1, 0)


async def test_what_failed_is_tried_again_after_the_rest_of_its_queue(crawl: Crawl) -> None:
    # Given a host with three requests, the first under way
    member = await crawl.join(limit=1)
    await give(member, links(3))
    lease = (await want(member, 1)).leases[0]
    # When it fails
    await member.exchange(Batch(failed=[Failed(lease.id, "broken")]))
    # Then it comes last, its attempt counted
    later = []
    for _ in range(3):
        leased = await want(member, 1)
        later += leased.leases
        await member.exchange(Batch(done=ids(leased)))
    assert [(lease.payload, lease.attempts) for lease in later] == [(b"1", 0), (b"2", 0), (b"0", 1)]


async def test_what_failed_as_often_as_allowed_becomes_a_dead_letter_with_the_last_reason(
    crawl: Crawl,
) -> None:
    # Given a page that may be tried three times
    member = await crawl.join(max_attempts=3)
    await give(member, [link("page", priority=7)])
    # When it fails three times
    for reason in ("first", "second", "third"):
        lease = (await want(member, 1)).leases[0]
        reply = await member.exchange(Batch(failed=[Failed(lease.id, reason)]))
    # Then it is a dead letter that tells all about it, and is not handed out any more
    assert crawl.letters() == [Letter(HOST, 7, 3, "third", b"page")]
    assert (reply.counts.dead, reply.counts.queued, (await want(member, 1)).leases) == (1, 0, [])


async def test_a_final_failure_is_not_tried_again(crawl: Crawl) -> None:
    # Given a page that may be tried three times
    member = await crawl.join(max_attempts=3)
    await give(member, [link("page")])
    lease = (await want(member, 1)).leases[0]
    # When it fails for good at the first
    await member.exchange(Batch(failed=[Failed(lease.id, "no such callback", final=True)]))
    # Then it is a dead letter
    assert crawl.letters() == [Letter(HOST, 0, 1, "no such callback", b"page")]


async def test_what_cannot_be_crawled_becomes_a_dead_letter_with_its_source(crawl: Crawl) -> None:
    # Given a worker
    member = await crawl.join()
    # When it refuses an entry
    reply = await member.exchange(Batch(refused=[Refused("start_urls", b"\xff{", "it is no URL")]))
    # Then the entry is among the dead letters, and counts as a request that entered
    assert crawl.letters() == [Letter("start_urls", 0, 0, "it is no URL", b"\xff{")]
    assert (reply.counts.enqueued, reply.counts.dead) == (1, 1)


async def test_a_reason_that_is_no_unicode_is_kept_as_its_code(crawl: Crawl) -> None:
    # Given a page under way
    member = await crawl.join()
    await give(member, [link("page")])
    lease = (await want(member, 1)).leases[0]
    # When the error's text holds half of a surrogate pair, as names of files may
    await member.exchange(Batch(failed=[Failed(lease.id, "no file \udcff", final=True)]))
    # Then the exchange works
    assert crawl.letters()[0].reason == r"no file \udcff"


@pytest.mark.parametrize("ending", ["done", "failed"])
async def test_a_lease_of_another_worker_an_ended_or_an_unknown_one_changes_nothing(
    crawl: Crawl, ending: str
) -> None:
    # Given two workers that hold a page each, of which one has ended
    owner, other = await crawl.join(), await crawl.join()
    await give(owner, links(2))
    kept, ended = ids(await want(owner, 2))
    await owner.exchange(Batch(done=[ended]))

    def batch(*leases: int) -> Batch:
        return Batch(done=list(leases)) if ending == "done" else Batch(failed=[_failed(n) for n in leases])

    before = await want(owner, 0)
    # When leases are completed that aren't the worker's, or not any more, or never were
    await other.exchange(batch(kept, ended))
    reply = await owner.exchange(batch(ended, ended, 0, -1, 999_999))
    # Then nothing has changed
    assert reply.counts == before.counts
    assert crawl.letters() == []


async def test_a_lease_completed_twice_in_one_exchange_counts_once(crawl: Crawl) -> None:
    # Given a page under way
    member = await crawl.join()
    await give(member, [link("page")])
    (lease,) = ids(await want(member, 1))
    # When it is done twice and has failed, too
    reply = await member.exchange(Batch(done=[lease, lease], failed=[_failed(lease)]))
    # Then it is done once
    assert (reply.counts.done, reply.counts.queued, reply.counts.leased) == (1, 0, 0)


def _failed(lease: int) -> Failed:
    return Failed(lease, "broken", final=True)


async def test_each_exchange_is_a_heartbeat_for_all_that_a_worker_holds(crawl: Crawl) -> None:
    # Given a worker whose time is almost over
    member = await crawl.join(ttl_ms=LONG_MS)
    await give(member, links(3))
    await want(member, 3)
    crawl.expire(member)
    # When it is heard of before anybody else is
    await want(member, 0)
    # Then it keeps its leases for another time to live
    (worker,) = (await crawl.frontier.status()).workers
    assert worker.leased == 3
    assert LONG_MS - 60_000 < worker.expires_ms <= LONG_MS
    assert (await want(await crawl.join(), 5)).leases == []


async def test_what_a_dead_worker_held_goes_to_the_front_in_its_order_and_its_attempt_counts(
    crawl: Crawl,
) -> None:
    # Given a worker that holds the two oldest requests of two priorities, and dies
    dead = await crawl.join(limit=0)
    await give(dead, [link(f"{p} {n}", priority=p) for p in (5, 1) for n in range(4)])
    await give(dead, [link("other", "b.example")])
    assert len((await want(dead, 7)).leases) == 7
    crawl.expire(dead)
    # When another one asks
    other = await crawl.join(limit=0)
    leases = [lease for lease in (await want(other, 20)).leases if lease.host == HOST]
    # Then all come as at first, and those that were under way say so
    assert names(leases) == [f"{p} {n}" for p in (5, 1) for n in range(4)]
    assert [lease.attempts for lease in leases] == [1] * 6 + [0] * 2


async def test_a_request_whose_workers_all_die_becomes_a_dead_letter_that_names_the_last(
    crawl: Crawl,
) -> None:
    # Given a page that may be tried twice
    first = await crawl.join("first", max_attempts=2)
    await give(first, [link("killer", priority=3)])
    # When two workers die of it
    await want(first, 1)
    crawl.expire(first)
    second = await crawl.join("second", max_attempts=2)
    assert names(await want(second, 1)) == ["killer"]
    crawl.expire(second)
    third = await crawl.join("third", max_attempts=2)
    # Then a third does not get it
    assert (await want(third, 1)).leases == []
    assert crawl.letters() == [Letter(HOST, 3, 2, f"its worker died: {second.name}", b"killer")]


async def test_a_worker_is_reaped_by_the_exchange_of_any_other(crawl: Crawl) -> None:
    # Given two workers, of which one holds all there is and dies
    dead, alive = await crawl.join(), await crawl.join()
    await give(dead, links(2))
    await want(dead, 2)
    crawl.expire(dead)
    # When the other one asks
    reply = await want(alive, 5)
    # Then it gets what the dead one held
    assert (names(reply), reply.workers) == (["0", "1"], 1)


@pytest.mark.parametrize(
    "late",
    [
        Batch(done=[1]),
        Batch(failed=[Failed(1, "broken", final=True)]),
        Batch(found=[link("new", fingerprint=1)]),
        Batch(refused=[Refused("start_urls", b"entry", "it is no URL")]),
        Batch(want=5),
    ],
    ids=["done", "failed", "found", "refused", "want"],
)
async def test_what_a_reaped_worker_says_late_changes_nothing(crawl: Crawl, late: Batch) -> None:
    # Given a worker that was taken for dead, and its page in another's hands
    reaped, other = await crawl.join(), await crawl.join()
    await give(reaped, links(2))
    assert ids(await want(reaped, 1)) == [1]
    crawl.expire(reaped)
    assert names(await want(other, 1)) == ["0"]
    before = crawl.state()
    # When it comes back, with one exchange or several
    replies = [await reaped.exchange(late), await want(reaped, 5)]
    # Then it is told that it is out, and nothing has changed
    assert [reply.fenced for reply in replies] == [True, True]
    assert crawl.state() == before


async def test_a_reaped_worker_joins_anew_under_another_name(crawl: Crawl) -> None:
    # Given a worker that was taken for dead
    reaped, other = await crawl.join("same"), await crawl.join()
    await give(reaped, links(2))
    await want(reaped, 1)
    crawl.expire(reaped)
    await want(other, 0)
    # When it joins again
    back = await crawl.join("same")
    # Then it is another worker, and takes part as any
    assert back.name != reaped.name
    assert names(await want(back, 5)) == ["0", "1"]
    assert (await want(reaped, 0)).fenced
