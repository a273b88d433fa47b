"""Redis Cluster moves a crawl to another node, slot by slot and key by key, while workers are at it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ClusterError

from benchmarks.frontier.cluster import ClusterNode, form
from crawlers.frontier import Batch, Frontier, Terms, connect
from crawlers.retrying import until_redis_answers
from deploy.local.processes import LOOPBACK

from .crawl import Crawl, give, ids, link, names, want

_SLOTS = 16_384


class TwoNodes:
    """A cluster of two nodes, and a way to move a crawl from one to the other."""

    def __init__(self, nodes: list[ClusterNode], stack: ExitStack) -> None:
        self.url = nodes[0].url
        self.ports = [node.port for node in nodes]
        self.clients: list[Any] = [stack.enter_context(redis.Redis(LOOPBACK, port)) for port in self.ports]
        form(self.clients, self.ports)
        self._ids = [client.execute_command("CLUSTER", "MYID").decode() for client in self.clients]

    def slot_of(self, crawl: str) -> int:
        return int(self.clients[0].execute_command("CLUSTER", "KEYSLOT", f"{{{crawl}}}"))

    def begin(self, slot: int) -> tuple[int, int]:
        """The slot is to go from the node that has it to the other. Returns these two."""
        source = slot * 2 // _SLOTS
        target = 1 - source
        self.clients[target].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self._ids[source])
        self.clients[source].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self._ids[target])
        return source, target

    def move(self, slot: int, most: int = 10_000) -> int:
        """Moves up to so many keys. Returns how many went."""
        source = slot * 2 // _SLOTS
        found = self.clients[source].execute_command("CLUSTER", "GETKEYSINSLOT", slot, most)
        if found:
            port = self.ports[1 - source]
            self.clients[source].execute_command("MIGRATE", LOOPBACK, port, "", 0, 5000, "KEYS", *found)
        return len(found)

    def finish(self, slot: int) -> None:
        target = 1 - slot * 2 // _SLOTS
        for client in (self.clients[target], self.clients[1 - target]):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self._ids[target])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    """Two nodes for all tests of this module."""
    with ExitStack() as stack:
        folder: Path = tmp_path_factory.mktemp("cluster")
        nodes = [ClusterNode(folder / f"node-{number}", appendonly=False) for number in range(2)]
        for node in nodes:
            stack.callback(node.stop)
            node.start()
        yield TwoNodes(nodes, stack)


async def test_no_script_does_half_of_its_work_while_its_slot_is_moved(
    two: TwoNodes, crawl_name: str
) -> None:
    # Given a crawl with a queue, of which any number of keys has gone ahead to another node
    through = connect({"REDIS_URL": two.url})
    slot = two.slot_of(crawl_name)
    crawl = Crawl(Frontier(through, crawl_name), two.clients[slot * 2 // _SLOTS])
    member = await crawl.join(limit=0)
    await give(member, [link(str(n), f"{n % 4}.example", fingerprint=n) for n in range(40)])
    leased = await want(member, 8)
    two.begin(slot)
    moved = 0
    while True:
        # When its worker exchanges
        sequence = member._sequence
        with pytest.raises((ClusterError, redis.exceptions.TryAgainError)):
            await want(member, 3)
        member._sequence = sequence
        if not two.move(slot, 3):
            break
        moved += 1
    two.finish(slot)
    # Then nothing has happened until all has moved, and then all does
    reply = await until_redis_answers(lambda: want(member, 50), patience_s=20)
    assert moved > 3
    assert sorted(names(leased) + names(reply), key=int) == [str(n) for n in range(40)]
    assert reply.counts.leased == 40
    await through.aclose()


async def test_workers_wait_while_a_slot_is_moved_under_load_and_lose_nothing(
    two: TwoNodes, crawl_name: str
) -> None:
    # Given a crawl that is under way
    through = connect({"REDIS_URL": two.url})
    slot = two.slot_of(crawl_name)
    frontier = Frontier(through, crawl_name)
    member, _ = await until_redis_answers(lambda: frontier.join("worker", Terms(limit=0)), patience_s=20)
    await give(member, [link(str(n), f"{n % 7}.example", fingerprint=n) for n in range(500)])
    got: list[str] = []

    async def crawl_all() -> None:
        ended: list[int] = []
        while len(got) < 500 or ended:
            prepared = member.prepare(Batch(done=ended, want=5))
            reply = await until_redis_answers(lambda: member.send(prepared), patience_s=20)  # noqa: B023
            assert not reply.fenced
            ended = ids(reply)
            got.extend(names(reply))
            await asyncio.sleep(0.005)

    # When its slot goes to another node amid it
    crawling = asyncio.create_task(crawl_all())
    await asyncio.sleep(0.1)
    two.begin(slot)
    while await asyncio.to_thread(two.move, slot, 2):
        await asyncio.sleep(0.03)
    two.finish(slot)
    await crawling
    # Then each request was leased once
    assert sorted(got, key=int) == [str(n) for n in range(500)]
    status = await frontier.status()
    assert (status.done, status.queued, status.leased) == (500, 0, 0)
    await through.aclose()
