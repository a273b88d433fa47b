"""With FRONTIER_REPLICAS a failover to a replica loses nothing that a worker was told is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ResponseError

from crawlers.frontier import Batch, Frontier, Terms, connect
from deploy.local.processes import LOOPBACK
from deploy.local.servers import RedisServer, redis_server
from tests.helpers import wait_until

from .crawl import LONG_MS, give, ids, links, names, want


@pytest.fixture
def replica(server: RedisServer, tmp_path: Path) -> Iterator[tuple[RedisServer, Any]]:
    """A replica of `server`, and a client of it."""
    with redis_server(tmp_path / "replica") as replica, redis.Redis.from_url(replica.url) as client:
        with redis.Redis.from_url(server.url) as primary:
            primary.config_set("repl-diskless-sync-delay", 0)
        client.replicaof(LOOPBACK, server.port)
        wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        yield replica, client


async def test_what_was_acknowledged_is_on_the_replica_that_takes_over(
    server: RedisServer, replica: tuple[RedisServer, Any]
) -> None:
    # Given a worker that waits for one replica, and hands in a page
    primary = connect({"REDIS_URL": server.url})
    member, _ = await Frontier(primary, "crawl", replicas=1).join("worker", Terms(ttl_ms=LONG_MS))
    await give(member, links(4))
    leased = await want(member, 2)
    await member.exchange(Batch(done=ids(leased)))
    await primary.aclose()
    # When the primary dies that very moment, and the replica takes over
    server.kill()
    replica[1].replicaof("NO", "ONE")
    promoted = connect({"REDIS_URL": replica[0].url})
    member._frontier = Frontier(promoted, "crawl")
    # Then the worker goes on there as if nothing had been
    reply = await want(member, 9)
    assert not reply.fenced
    assert names(reply) == ["2", "3"]
    assert reply.counts.done == 2
    await promoted.aclose()


async def test_an_exchange_that_no_replica_has_is_sent_again_and_has_one_effect(
    server: RedisServer, replica: tuple[RedisServer, Any]
) -> None:
    # Given a replica that lags behind
    primary = connect({"REDIS_URL": server.url})
    member, _ = await Frontier(primary, "crawl", replicas=1).join("worker", Terms(ttl_ms=LONG_MS))
    replica[0].pause()
    # When a worker hands links in
    prepared = member.prepare(Batch(found=links(3)))
    # Then that isn't acknowledged
    with pytest.raises(ResponseError, match="NOREPLICAS"):
        await member.send(prepared)
    # And it is, once, when the replica is back
    replica[0].resume()
    reply = await member.send(prepared)
    assert reply.counts.enqueued == 3
    assert replica[1].llen("{crawl}:1:requests:a.example:0") == 3
    await primary.aclose()
