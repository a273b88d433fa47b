"""A crawl ends once, when there is nothing left over all workers, and then it starts anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crawlers.frontier import Batch, Failed, Joined, Member, Refused, Status, Terms

from .crawl import LONG_MS, Crawl, Letter, give, ids, link, links, names, want

IDLE = Batch(idle=True)


async def _crawl_all(member: Member) -> None:
    """Does whatever is queued, and says that nothing more is to come."""
    while leased := ids(await want(member, 100)):
        await member.exchange(Batch(done=leased))
    assert (await member.exchange(IDLE)).finished


async def _join(crawl: Crawl, *, flush: bool = False, persist: bool = False) -> tuple[Member, Joined]:
    terms = Terms(ttl_ms=LONG_MS, persist=persist)
    return await crawl.frontier.join("worker", terms, flush=flush)


async def test_a_crawl_is_not_finished_while_anything_is_queued_or_leased(crawl: Crawl) -> None:
    # Given a worker that has nothing more to bring
    member = await crawl.join(limit=1)
    # When there is first a queue, then a lease, then a failure, then nothing
    steps = [await member.exchange(Batch(found=links(1), idle=True))]
    steps.append(await member.exchange(Batch(want=1, idle=True)))
    (lease,) = ids(steps[-1])
    steps.append(await member.exchange(Batch(failed=[Failed(lease, "broken")], idle=True)))
    (lease,) = ids(await want(member, 1))
    steps.append(await member.exchange(Batch(done=[lease], idle=True)))
    # Then it is finished at the end only
    assert [step.finished for step in steps] == [False, False, False, True]
    assert (await crawl.frontier.status()).finished


async def test_a_crawl_is_not_finished_while_a_worker_may_bring_more(crawl: Crawl) -> None:
    # Given two workers and no work
    first, second = await crawl.join(), await crawl.join()
    # When one is idle, then the other, then the first has something again
    steps = [
        await first.exchange(IDLE),
        await second.exchange(IDLE),
        await first.exchange(Batch(idle=False)),
        await first.exchange(IDLE),
    ]
    # Then it is finished only while both are idle
    assert [step.finished for step in steps] == [False, True, False, True]


async def test_a_worker_that_just_joined_counts_as_busy(crawl: Crawl) -> None:
    # Given an idle worker, and another that has joined and said nothing yet
    first, _ = await crawl.join(), await crawl.join()
    # When the first asks
    # Then the crawl waits for the other
    assert not (await first.exchange(IDLE)).finished


async def test_a_worker_that_died_or_left_does_not_keep_the_crawl_from_its_end(crawl: Crawl) -> None:
    # Given three workers that are not idle, of which one dies and one leaves
    dead, leaving, last = await crawl.join(), await crawl.join(), await crawl.join()
    for member in (dead, leaving, last):
        await want(member, 0)
    crawl.expire(dead)
    await leaving.leave()
    # When the last one is idle
    # Then the crawl has finished
    assert (await last.exchange(IDLE)).finished


async def test_the_last_to_leave_a_finished_crawl_frees_its_memory(crawl: Crawl) -> None:
    # Given a finished crawl of two workers, with a dead letter
    first, second = await crawl.join(), await crawl.join()
    await give(first, [link(str(n), fingerprint=n) for n in range(1000)])
    await first.exchange(Batch(refused=[Refused("start_urls", b"entry", "it is no URL")]))
    await _crawl_all_of_two(first, second)
    # When both leave
    last = [await first.leave(), await second.leave()]
    await crawl.frontier.purge()
    # Then the second is told that it was the last, and what people want to read is left
    assert last == [False, True]
    assert crawl.key_names() == ["dead", "meta"]
    status = await crawl.frontier.status()
    assert status == Status(1001, 1000, 0, 0, 1, 0, finished=True, run=1, workers=[])


async def _crawl_all_of_two(first: Member, second: Member) -> None:
    await second.exchange(IDLE)
    await _crawl_all(first)


async def test_a_finished_crawl_starts_anew(crawl: Crawl) -> None:
    # Given a finished crawl
    member, joined = await _join(crawl)
    await give(member, [link("page", fingerprint=1)])
    await member.exchange(Batch(refused=[Refused("start_urls", b"entry", "it is no URL")]))
    await _crawl_all(member)
    await member.leave()
    # When a worker joins
    again, rejoined = await _join(crawl)
    # Then it is the next run, nothing was seen, and all counts begin at 0
    assert (joined, rejoined) == (Joined(1, 0, 0, 0), Joined(2, 0, 0, 0))
    status = await crawl.frontier.status()
    assert replace(status, workers=[]) == Status(0, 0, 0, 0, 0, 0, finished=False, run=2, workers=[])
    assert [worker.name for worker in status.workers] == [again.name]
    assert (await give(again, [link("page", fingerprint=1)])).known == 0


async def test_an_interrupted_crawl_goes_on(crawl: Crawl) -> None:
    # Given a crawl whose only worker left amid its work
    member, _ = await _join(crawl)
    await give(member, [link(str(n), fingerprint=n) for n in range(3)])
    await member.exchange(Batch(done=ids(await want(member, 1))))
    assert await member.leave() is False
    # When a worker joins
    again, joined = await _join(crawl)
    # Then it is the same run, with what was left
    assert joined == Joined(run=1, workers=0, queued=2, seen=3)
    assert names(await want(again, 10)) == ["1", "2"]
    assert (await give(again, [link("0", fingerprint=0)])).known == 1


async def test_a_crawl_whose_workers_all_died_goes_on(crawl: Crawl) -> None:
    # Given a crawl whose only worker died
    member, _ = await _join(crawl)
    await give(member, links(3))
    await want(member, 2)
    crawl.expire(member)
    # When a worker joins
    again, joined = await _join(crawl)
    # Then it finds all that was not done
    assert (joined, names(await want(again, 10))) == (Joined(1, 0, 3, 0), ["0", "1", "2"])


async def test_with_persist_a_finished_crawl_keeps_what_it_has_seen(crawl: Crawl) -> None:
    # Given a finished crawl that was to be kept
    member, _ = await _join(crawl, persist=True)
    await give(member, [link("page", fingerprint=1)])
    await _crawl_all(member)
    assert await member.leave() is True
    await crawl.frontier.purge()
    # When it runs again
    again, joined = await _join(crawl, persist=True)
    # Then it skips what it knows
    assert joined == Joined(run=2, workers=0, queued=0, seen=1)
    reply = await give(again, [link("page", fingerprint=1), link("new", fingerprint=2)])
    assert (reply.known, reply.counts.queued) == (1, 1)


async def test_flush_drops_what_an_interrupted_crawl_left(crawl: Crawl) -> None:
    # Given an interrupted crawl
    member, _ = await _join(crawl)
    await give(member, [link(str(n), f"{n}.example", fingerprint=n) for n in range(30)])
    await member.leave()
    # When a worker joins that wants none of it
    again, joined = await _join(crawl, flush=True)
    await crawl.frontier.purge()
    # Then it begins with nothing, and nothing of the old is kept
    assert joined == Joined(run=2, workers=0, queued=0, seen=0)
    assert (await give(again, [link("0", fingerprint=0)])).known == 0
    assert not [key for key in crawl.key_names() if key.startswith("1:")]


async def test_flush_drops_nothing_while_other_workers_are_at_it(crawl: Crawl) -> None:
    # Given a crawl under way
    member, _ = await _join(crawl)
    await give(member, [link(str(n), fingerprint=n) for n in range(3)])
    leased = await want(member, 1)
    # When a worker joins that wants to begin with nothing
    _, joined = await _join(crawl, flush=True)
    # Then it is told that it is not alone, and the other goes on
    assert joined == Joined(run=1, workers=1, queued=2, seen=3)
    assert (await member.exchange(Batch(done=ids(leased)))).counts.done == 1


async def test_a_worker_still_closing_from_the_finished_run_is_harmless(crawl: Crawl) -> None:
    # Given a finished crawl that one worker has not left yet
    slow, _ = await _join(crawl)
    await give(slow, [link("page", fingerprint=1)])
    await _crawl_all(slow)
    # When the next run begins, and the slow one says something and leaves
    new, joined = await _join(crawl)
    await give(new, [link("page", fingerprint=1), link("other", fingerprint=2)])
    before = crawl.state()
    late = await slow.exchange(Batch(found=[link("late", fingerprint=3)], done=[1], want=5, idle=True))
    last = await slow.leave()
    # Then it is out of it, and the new run has not noticed
    assert (joined.run, late.fenced, last) == (2, True, False)
    assert crawl.state() == before
    assert names(await want(new, 5)) == ["page", "other"]


async def test_who_leaves_gives_back_in_order_and_without_counting_an_attempt(crawl: Crawl) -> None:
    # Given a worker that holds three of five requests, one of which had failed before
    member = await crawl.join(limit=0)
    await give(member, links(1))
    (failed,) = ids(await want(member, 1))
    await member.exchange(Batch(failed=[Failed(failed, "broken")], found=[link(str(n)) for n in range(1, 5)]))
    assert names(await want(member, 3)) == ["1", "2", "3"]
    # When it leaves, twice, because the first reply was lost
    await member.leave()
    await member.leave()
    # Then all come in their old order
    other = await crawl.join(limit=0)
    leases = (await want(other, 10)).leases
    assert [(lease.payload, lease.attempts) for lease in leases] == [
        (b"1", 0),
        (b"2", 0),
        (b"3", 0),
        (b"4", 0),
        (b"0", 1),
    ]


@pytest.mark.parametrize("end", ["finished", "flushed"])
async def test_purge_frees_everything_of_retired_generations(crawl: Crawl, end: str) -> None:
    # Given three runs with more buckets and hosts than one exchange frees
    for _ in range(3):
        member = await crawl.join(flush=end == "flushed", delay_ms=1, limit=1)
        found = [link(str(n), f"{n % 700}.example", n % 3, fingerprint=n * 7919) for n in range(5000)]
        await give(member, found)
        if end == "finished":
            crawl.redis.hset(f"{crawl.tag}:meta", "finished", 1)
        await member.leave()
    # When the last is over
    member = await crawl.join(flush=end == "flushed")
    await member.leave()
    await crawl.frontier.purge()
    # Then nothing is left
    assert crawl.key_names() == ["meta", "policy"]


async def test_letters_of_a_run_can_be_read_until_the_next_begins(crawl: Crawl) -> None:
    # Given a finished run with a dead letter
    member, _ = await _join(crawl)
    await give(member, [link("page")])
    (lease,) = ids(await want(member, 1))
    await member.exchange(Batch(failed=[Failed(lease, "broken", final=True)], idle=True))
    await member.leave()
    await crawl.frontier.purge()
    assert crawl.letters() == [Letter("a.example", 0, 1, "broken", b"page")]
    # When the next run begins
    await _join(crawl)
    # Then they are gone
    assert crawl.letters() == []


async def test_the_status_of_a_crawl_that_never_was_is_all_zero(crawl: Crawl) -> None:
    # Given no crawl
    # When its status is read
    status = await crawl.frontier.status()
    # Then all is zero, and reading it has made nothing
    assert status == Status(0, 0, 0, 0, 0, 0, finished=False, run=0, workers=[])
    assert crawl.key_names() == []
