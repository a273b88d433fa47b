"""A page that kills its workers is found out without harm to those that were leased with it."""

from __future__ import annotations

from crawlers.frontier import Batch, Failed, Joined, Terms

from .crawl import LONG_MS, Crawl, give, ids, links, names, want


async def _lose(crawl: Crawl, number: int) -> list[str]:
    """A worker takes what it gets of `number` requests and dies; what it took."""
    member = await crawl.join()
    taken = names(await want(member, number))
    crawl.expire(member)
    return taken


async def test_requests_on_their_last_attempt_after_deaths_are_leased_one_to_a_worker(crawl: Crawl) -> None:
    # Given requests whose workers died together with them twice of three times
    observer = await crawl.join()
    await give(observer, links(4))
    assert [await _lose(crawl, 3) for _ in range(2)] == [["0", "1", "2"]] * 2
    # When workers want all they can get
    first, second = await crawl.join("first"), await crawl.join("second")
    taken = [names(await want(first, 10)), names(await want(second, 10))]
    # Then each gets one of them, and the next only when that is done
    assert taken == [["0"], ["1"]]
    assert names(await want(first, 10)) == []
    crawl.expire(first)
    reply = await second.exchange(Batch(done=[], want=0))
    # And a death buries the one that was with its worker, and no other
    assert (reply.counts.dead, [letter.payload for letter in crawl.letters()]) == (1, [b"0"])
    assert crawl.letters()[0].reason.startswith("its worker died")


async def test_who_outlives_its_worker_no_more_is_suspected_no_more(crawl: Crawl) -> None:
    # Given two requests on their last attempt after deaths
    observer = await crawl.join()
    await give(observer, links(2))
    assert [await _lose(crawl, 2) for _ in range(2)] == [["0", "1"]] * 2
    # When one worker does both
    member = await crawl.join()
    first = await want(member, 2)
    second = await member.exchange(Batch(done=ids(first), want=2))
    last = await member.exchange(Batch(done=ids(second), want=2))
    # Then all is done and nothing is remembered of them
    assert (names(first), names(second), last.counts.done) == (["0"], ["1"], 2)
    assert not [key for key in crawl.key_names() if key.endswith(":suspects")]


async def test_requests_whose_callbacks_fail_are_no_suspects(crawl: Crawl) -> None:
    # Given requests that failed twice of three times
    member = await crawl.join()
    await give(member, links(3))
    for _ in range(2):
        leased = ids(await want(member, 3))
        await member.exchange(Batch(failed=[Failed(lease, "callback raised") for lease in leased]))
    # When their worker dies with them
    assert await _lose(crawl, 3) == ["0", "1", "2"]
    # Then they are tried once more, for they may have had no part in it
    assert (await give(member, [])).counts.dead == 0


async def test_who_was_taken_for_dead_does_not_start_a_finished_crawl_anew(crawl: Crawl) -> None:
    # Given a crawl that finished while one of its workers was taken for dead
    lost, other = await crawl.join("lost"), await crawl.join("other")
    await give(other, links(1))
    await lost.exchange(Batch(idle=True))
    leased = await want(other, 1)
    crawl.expire(lost)
    reply = await other.exchange(Batch(failed=[Failed(ids(leased)[0], "no good", final=True)], idle=True))
    assert reply.finished
    await other.leave()
    # When that one comes back
    assert (await want(lost, 1)).fenced
    again, joined = await crawl.frontier.join("lost", Terms(ttl_ms=LONG_MS), run=1)
    # Then it is told so, and the dead letters and counters of the run are kept
    assert joined == Joined(run=1, workers=0, queued=0, seen=0, over=1)
    reply = await again.exchange(Batch(idle=True))
    assert (reply.finished, reply.counts.enqueued, len(crawl.letters())) == (True, 1, 1)
