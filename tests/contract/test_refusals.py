"""A Redis that refuses to write refuses the whole exchange; repeated later, it has its one effect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import redis
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError

from crawlers.frontier import Batch, Failed, Refused
from deploy.local.processes import LOOPBACK, free_port

from .crawl import Crawl, give, ids, link, links, names, want


class Refusal:
    """A way in which a Redis refuses to write, for as long as a test wants."""

    error: type[RedisError]

    def begin(self, client: redis.Redis) -> None:
        """From now on nothing may be written."""

    def end(self, client: redis.Redis) -> None:
        """Redis writes again."""


class Full(Refusal):
    """More memory is used than is allowed, and nothing may be evicted."""

    error = OutOfMemoryError

    def begin(self, client: redis.Redis) -> None:
        client.config_set("maxmemory", 1)

    def end(self, client: redis.Redis) -> None:
        client.config_set("maxmemory", 0)


class ReadOnly(Refusal):
    """It is a replica, whose primary is away."""

    error = ReadOnlyError

    def begin(self, client: redis.Redis) -> None:
        client.replicaof(LOOPBACK, free_port())

    def end(self, client: redis.Redis) -> None:
        client.replicaof("NO", "ONE")


@pytest.fixture(params=[Full, ReadOnly], ids=["full", "read-only"])
def refusal(request: pytest.FixtureRequest) -> Refusal:
    """Each way to refuse in turn."""
    refusal: Refusal = request.param()
    return refusal


async def _refused(crawl: Crawl, refusal: Refusal, call: Callable[[], Awaitable[object]]) -> None:
    """`call` raises the refusal and leaves nothing behind."""
    before = crawl.state()
    refusal.begin(crawl.redis)
    with pytest.raises(refusal.error):
        await call()
    assert crawl.state() == before
    refusal.end(crawl.redis)


BATCHES = {
    "found": Batch(found=[link("new", fingerprint=5), link("other")]),
    "done": Batch(done=[1, 2]),
    "failed": Batch(failed=[Failed(1, "broken"), Failed(2, "broken", final=True)]),
    "refused": Batch(refused=[Refused("start_urls", b"entry", "it is no URL")]),
    "want": Batch(want=5),
    "heartbeat": Batch(idle=True),
    "everything": Batch([link("new", fingerprint=5)], [1], [Failed(2, "broken")], want=9),
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
async def test_a_refused_exchange_has_no_effect_and_its_repetition_has_all(
    own_crawl: Crawl, refusal: Refusal, batch: Batch
) -> None:
    # Given a worker with two leases, a queue, and a dead worker to be reaped
    member, dead = await own_crawl.join(limit=0), await own_crawl.join(limit=0)
    await give(member, links(9))
    assert ids(await want(member, 2)) == [1, 2]
    await want(dead, 2)
    own_crawl.expire(dead)
    # When Redis refuses to write
    prepared = member.prepare(batch)
    await _refused(own_crawl, refusal, lambda: member.send(prepared))
    # Then the exchange has no effect; and all of it, once, when it is repeated
    reply = await member.send(prepared)
    counts = reply.counts
    assert counts.done == len(batch.done)
    assert counts.enqueued == 9 + len(batch.found) + len(batch.refused)
    assert counts.enqueued == counts.done + counts.queued + counts.leased + counts.dead
    assert len(reply.leases) == min(batch.want, 7 + len(batch.found) + len(batch.failed))


async def test_a_refused_join_or_leave_has_no_effect(own_crawl: Crawl, refusal: Refusal) -> None:
    # Given a worker with leases, and a dead one
    member, dead = await own_crawl.join(), await own_crawl.join()
    await give(member, links(5))
    await want(dead, 2)
    await want(member, 2)
    own_crawl.expire(dead)
    # When Redis refuses to write
    await _refused(own_crawl, refusal, own_crawl.join)
    await _refused(own_crawl, refusal, member.leave)
    # Then both work when they are repeated
    await member.leave()
    assert names(await want(await own_crawl.join(), 9)) == ["0", "1", "2", "3", "4"]


async def test_a_refused_claim_loses_no_start_url(own_crawl: Crawl, refusal: Refusal) -> None:
    # Given three start URLs, of which one was claimed by a worker that died
    key = f"{own_crawl.tag}:start_urls"
    own_crawl.redis.rpush(key, "1", "2", "3")
    await own_crawl.frontier.claim(key, 1, hold_ms=0)
    # When Redis refuses to write
    await _refused(own_crawl, refusal, lambda: own_crawl.frontier.claim(key, 5, 1000))
    # Then all are claimed later
    assert (await own_crawl.frontier.claim(key, 5, 1000)).entries == [b"1", b"2", b"3"]
