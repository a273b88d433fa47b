"""Deep queues between a real Redis and a real MongoDB, whatever of them fails, and whoever is killed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

from crawlers.deep import ChunkStore, Memory, Mover
from crawlers.deep.store import COLLECTION
from crawlers.frontier import (
    Batch,
    Client,
    Deep,
    Found,
    Frontier,
    Link,
    Member,
    Terms,
    connect,
    encode,
)
from deploy.local.processes import LOOPBACK
from deploy.local.servers import _running, mongo_server, redis_server
from tests.contract.test_deployments import ClusterServer
from tests.helpers import ROOT, wait_until

from .deep_mover import store_in

CHUNK, LIMIT = 10, 20
HOST = "a.example"
MongoClient = pymongo.MongoClient[dict[str, object]]


@dataclass
class World:
    """A crawl with one worker, one mover, and a queue that should hold the numbers `expected`."""

    client: Client
    crawl: str
    member: Member
    store: ChunkStore
    chunk: int = CHUNK
    limit: int = LIMIT
    expected: dict[int, None] = field(default_factory=dict)
    found: int = 0

    @property
    def mover(self) -> Mover:
        """Another mover, as that of a worker that has just started."""
        return self.mover_of(lambda _full: None)

    def mover_of(self, hold_back: Callable[[bool], None]) -> Mover:
        """The same, of a worker that is told to hold back."""
        deep = Deep(self.client, self.crawl, "worker")
        memory = Memory(self.client, self.crawl)
        sizes = {"limit": self.limit, "chunk": self.chunk}
        return Mover(deep, self.store, memory, self.crawl, hold_back=hold_back, **sizes)

    async def find(self, number: int, hosts: int = 1) -> None:
        """So many links, each in an exchange with some others."""
        for first in range(self.found, self.found + number, 5):
            numbers = range(first, min(first + 5, self.found + number))
            found = [Found(None, f"{n % hosts}.{HOST}", 0, str(n).encode()) for n in numbers]
            await self.member.exchange(Batch(found=found))
        self.expected.update(dict.fromkeys(range(self.found, self.found + number)))
        self.found += number

    async def lease(self, number: int) -> list[int]:
        """Leases up to so many and completes them."""
        reply = await self.member.exchange(Batch(want=number))
        await self.member.exchange(Batch(done=[lease.id for lease in reply.leases]))
        leased = [int(lease.payload) for lease in reply.leases]
        for n in leased:
            self.expected.pop(n, None)
        return leased

    async def move(self) -> None:
        """One mover does all that there is to do."""
        mover = self.mover
        while await mover.step() == 0:
            pass

    async def drain(self, at_once: int = 7) -> list[int]:
        """Leases and completes all, with a mover beside; what came, in order."""
        order: list[int] = []
        idle = 0
        mover = self.mover
        while idle < 3:
            leased = await self.lease(at_once)
            order += leased
            await mover.step()
            idle = 0 if leased else idle + 1
        return order

    async def let_time_pass(self) -> None:
        """What came back is old enough to be deleted, and whoever was the mover isn't."""
        key = f"{{{self.crawl}}}:returned"
        for name in await self.client.zrange(key, 0, -1):
            await self.client.zadd(key, {name: 1})
        await self.client.delete(f"{{{self.crawl}}}:mover")

    async def meta(self, name: str) -> int:
        """One of the counters."""
        value: Any = await self.client.hget(f"{{{self.crawl}}}:meta", name)  # type: ignore[misc]
        return int(value or 0)


@asynccontextmanager
async def world(redis_url: str, crawl: str, store: ChunkStore, **terms: int) -> AsyncIterator[World]:
    """A crawl for the while."""
    client = connect({"REDIS_URL": redis_url})
    chunk = terms.get("chunk", CHUNK)
    member, _ = await Frontier(client, crawl).join("w", Terms(ttl_ms=3_600_000, limit=0, chunk=chunk))
    try:
        yield World(client, crawl, member, store, **terms)
    finally:
        await store.aclose()
        await client.aclose()


def documents(mongo: MongoClient, database: str) -> int:
    """How many documents there are of chunks."""
    return mongo[database][COLLECTION].count_documents({})


def test_a_crawl_of_20000_requests_ends_with_1000_in_redis(
    redis_url: str, mongo_uri: str, crawl_name: str, database: str, mongo_client: MongoClient
) -> None:
    async def run() -> None:
        store = store_in(mongo_uri, database)
        async with world(redis_url, crawl_name, store, chunk=100, limit=1000) as crawl:
            # Given 20,000 requests of 4 hosts, and a limit of 1,000
            await crawl.find(20_000, hosts=4)
            await crawl.move()
            assert 18_000 <= await crawl.meta("out") <= 19_000
            # When it is crawled
            order = await crawl.drain(64)
            # Then each page came once, each host's in order
            for host in range(4):
                assert [n for n in order if n % 4 == host] == list(range(host, 20_000, 4))
            assert [await crawl.meta(name) for name in ("queued", "out", "done")] == [0, 0, 20_000]
            # And MongoDB keeps nothing once that is sure
            assert documents(mongo_client, database) > 0
            await crawl.let_time_pass()
            for _ in range(10):
                await crawl.move()
                await crawl.mover.step()
            assert documents(mongo_client, database) == 0

    asyncio.run(run())


def test_a_mover_that_is_killed_at_any_step_loses_nothing(
    redis_url: str, mongo_uri: str, crawl_name: str, database: str, mongo_client: MongoClient
) -> None:
    async def run() -> None:
        async with world(redis_url, crawl_name, store_in(mongo_uri, database)) as crawl:
            # Given a crawl in which there is always something to move out, to bring back and to delete
            await crawl.find(60)
            order: list[int] = []
            for step in range(1, 100):
                await crawl.find(30)
                order += await crawl.lease(12)
                await crawl.let_time_pass()
                # When its mover is killed before its first step, its second, ...
                command = [
                    sys.executable,
                    "-m",
                    "tests.integration.deep_mover",
                    redis_url,
                    mongo_uri,
                    database,
                ]
                numbers = (LIMIT, CHUNK, step)
                ended = subprocess.run([*command, crawl_name, *map(str, numbers)], cwd=ROOT, timeout=60)
                if ended.returncode == 0:
                    break
                assert ended.returncode == -9
            # Then, after its last one, all has come once and in order
            assert step > 8
            await crawl.let_time_pass()
            order += await crawl.drain()
            assert order == list(range(crawl.found))
            # And nothing is left of it in MongoDB
            await crawl.let_time_pass()
            await crawl.move()
            await crawl.move()
            assert documents(mongo_client, database) == 0

    asyncio.run(run())


# What happens to a crawl, one after the other. Redis forgets one or two of these, but no more than a second:
# so nothing from before `let_time_pass`, which is two minutes.
EVENTS: list[Callable[[World], Any]] = [
    lambda crawl: crawl.find(95),
    lambda crawl: crawl.move(),
    lambda crawl: crawl.lease(8),
    lambda crawl: crawl.mover.step(),
    lambda crawl: crawl.lease(14),
    lambda crawl: crawl.find(33),
    lambda crawl: crawl.move(),
    lambda crawl: crawl.let_time_pass(),
    lambda crawl: crawl.mover.step(),
    lambda crawl: crawl.lease(9),
    lambda crawl: crawl.move(),
    lambda crawl: crawl.find(12),
    lambda crawl: crawl.move(),
]


@pytest.mark.parametrize("forgotten", [1, 2])
@pytest.mark.parametrize("first", [n for n in range(1, len(EVENTS) - 1) if n not in (6, 7)])
def test_a_redis_that_forgets_its_last_second_loses_nothing(
    tmp_path: Path, mongo_uri: str, crawl_name: str, database: str, first: int, forgotten: int
) -> None:
    async def run() -> None:
        folder, kept = tmp_path / "redis", tmp_path / "kept"
        with redis_server(folder, appendfsync="always") as server:
            async with world(server.url, crawl_name, store_in(mongo_uri, database)) as crawl:
                # Given a crawl some of which is in MongoDB, and Redis' files of this moment
                for event in EVENTS[:first]:
                    await event(crawl)
                shutil.copytree(folder, kept)
                expected = list(crawl.expected)
                # When more happens, Redis is killed, and comes back with these files
                for event in EVENTS[first : first + forgotten]:
                    await event(crawl)
                server.kill()
                shutil.rmtree(folder)
                shutil.copytree(kept, folder)
                server.start()
                await crawl.client.connection_pool.disconnect()  # type: ignore[union-attr]
                # Then all that was queued then is crawled, in order
                await crawl.member.leave()
                terms = Terms(ttl_ms=3_600_000, limit=0, chunk=CHUNK)
                crawl.member, _ = await Frontier(crawl.client, crawl_name).join("w", terms)
                await crawl.client.delete(f"{{{crawl_name}}}:mover")
                assert await crawl.drain() == expected
                assert [await crawl.meta(name) for name in ("queued", "out")] == [0, 0]

    asyncio.run(run())


def test_a_crawl_goes_on_while_mongodb_is_away(
    tmp_path: Path, redis_url: str, crawl_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        with mongo_server(tmp_path / "mongo") as server:
            async with world(redis_url, crawl_name, store_in(server.uri, "db", timeout_s=0.5)) as crawl:
                # Given a deep queue, a part of which is in MongoDB
                await crawl.find(75)
                await crawl.move()
                out = await crawl.meta("out")
                assert out
                # When MongoDB is away, while more is found and leased
                server.kill()
                mover = crawl.mover
                await crawl.find(40)
                order = []
                for _ in range(8):
                    order += await crawl.lease(5)
                    await mover.step()
                # Then no more goes there, what comes after what is out waits, and that is said once
                assert order == list(range(len(order)))
                assert 10 <= len(order) < 40
                assert await crawl.meta("out") == out
                warnings = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
                assert len(warnings) == 1
                assert "Deep queues stay in Redis, and hosts wait for what is out" in warnings[0]
                # And once it is back all comes in order
                server.start()
                while await mover.step() > 1:
                    pass
                order += await crawl.drain()
                assert order == list(range(115))

    asyncio.run(run())


def test_what_should_be_in_mongodb_and_is_not_is_told_and_waited_for(
    redis_url: str,
    mongo_uri: str,
    crawl_name: str,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        async with world(redis_url, crawl_name, store_in(mongo_uri, database)) as crawl:
            # Given a deep queue, and a worker that looks into another database
            await crawl.find(75)
            await crawl.move()
            right = crawl.store
            crawl.store = store_in(mongo_uri, f"{database}-2")
            # When it comes to what is out
            order = await crawl.drain()
            # Then its host waits, and one message says why
            assert order == list(range(len(order)))
            (message,) = [r.message for r in caplog.records if r.levelno >= logging.ERROR]
            assert f"0.{HOST} waits: 10 of its requests" in message
            await crawl.store.aclose()
            # And with the right one all comes
            crawl.store = right
            assert order + await crawl.drain() == list(range(75))

    asyncio.run(run())


@pytest.mark.parametrize(("share", "held"), [(0.85, []), (0.95, [True]), (1.3, [True])])
def test_redis_is_relieved_and_the_worker_held_back(
    tmp_path: Path,
    mongo_uri: str,
    crawl_name: str,
    database: str,
    caplog: pytest.LogCaptureFixture,
    share: float,
    held: list[bool],
) -> None:
    async def run() -> None:
        with redis_server(tmp_path / "redis") as server, redis.Redis.from_url(server.url) as look:
            async with world(server.url, crawl_name, store_in(mongo_uri, database)) as crawl:
                # Given a queue far below its limit
                crawl.limit = 1_000_000
                await crawl.find(200)
                await crawl.move()
                assert await crawl.meta("out") == 0
                told: list[bool] = []
                mover = crawl.mover_of(told.append)
                # When so much of Redis' memory is in use, or more than there is
                used = look.info("memory")["used_memory"]
                look.config_set("maxmemory", int(used / share))
                await mover.step()
                # Then all that can goes to MongoDB, and the worker takes nothing where it is too much
                assert await crawl.meta("out") >= 180
                assert told == held
                # And it goes on once there is room
                look.config_set("maxmemory", used * 2)
                await mover.step()
                assert told == held + [False] * len(held)
                messages = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
                assert len(messages) == 2 * len(held)
                assert all("Raise its maxmemory, or lower" in message for message in messages[:1])

    asyncio.run(run())


def test_a_redis_that_denies_info_is_used_without(
    redis_url: str, redis_client: redis.Redis, crawl_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        # Given a user of Redis that may not ask how full it is
        redis_client.acl_setuser(
            crawl_name, enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-info"]
        )
        client = connect({"REDIS_URL": redis_url, "REDIS_PARAMS": {"username": crawl_name, "password": "pw"}})
        memory = Memory(client, crawl_name)
        # When it is asked twice
        used = [await memory.used(), await memory.used()]
        # Then it counts as empty, and one warning says so
        assert used == [0.0, 0.0]
        (warning,) = caplog.records
        assert "Redis doesn't tell how full it is" in warning.message
        await client.aclose()
        redis_client.acl_deluser(crawl_name)

    asyncio.run(run())


def test_deep_queues_on_a_cluster(tmp_path: Path, mongo_uri: str, crawl_name: str, database: str) -> None:
    async def run() -> None:
        # Given a node that has all slots, and little memory
        node = ClusterServer(tmp_path / "node", appendonly=False)
        with _running(node), redis.Redis(LOOPBACK, node.port) as look:
            look.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: look.cluster("info")["cluster_state"] == "ok")
            url = f"redis+cluster://{LOOPBACK}:{node.port}"
            async with world(url, crawl_name, store_in(mongo_uri, database)) as crawl:
                crawl.limit = 1_000_000
                await crawl.find(75)
                look.config_set("maxmemory", int(look.info("memory")["used_memory"] / 0.85))
                # When a crawl has deep queues there
                await crawl.move()
                look.config_set("maxmemory", 0)
                # Then they move, and come back in order
                assert await crawl.meta("out") >= 50
                assert await crawl.drain() == list(range(75))

    asyncio.run(run())


def test_the_commands_read_what_is_in_mongodb(
    redis_url: str, mongo_uri: str, crawl_name: str, database: str, tmp_path: Path
) -> None:
    def command(*words: str, uri: str = mongo_uri) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "REDIS_URL": redis_url, "MONGO_URI": uri, "MONGO_DATABASE": database}
        whole = [sys.executable, "-m", "scrapy", "frontier", *words, "--crawl", crawl_name]
        whole += ["-s", "MONGO_TIMEOUT_S=1"]
        return subprocess.run(whole, cwd=ROOT, env=env, timeout=60, capture_output=True, text=True)

    async def run() -> None:
        # Given a crawl whose worker has left with a part of its queue in MongoDB
        async with world(redis_url, crawl_name, store_in(mongo_uri, database)) as crawl:
            for n in range(75):
                payload = encode(Link(f"http://{HOST}/{n}"), 1000)
                await crawl.member.exchange(Batch(found=[Found(n, HOST, 0, payload)]))
            await crawl.move()
            await crawl.member.leave()
            out = await crawl.meta("out")
        # When it is asked about
        status = json.loads(command("status", "--json").stdout)
        where, export = command("where", f"http://{HOST}/55"), command("export", str(tmp_path / "crawl"))
        # Then the answers are about all of it
        assert (status["queued"], status["in_mongodb"]) == (75, out)
        assert "is queued: 55 requests of its host before it" in where.stdout
        assert "75 queued" in export.stdout
        # And without MongoDB they say so in one sentence
        away = command("where", f"http://{HOST}/55", uri="mongodb://127.0.0.1:9/?timeoutMS=300")
        assert away.returncode == 2
        assert "MongoDB, where a part of the queues is, failed" in away.stderr
        assert len(away.stderr.splitlines()) == 1

    asyncio.run(run())
