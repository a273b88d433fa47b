"""The servers of chaos runs, kept from one run to the next, and what stands between them and the workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pymongo
import pymongo.errors

from deploy.local.practice_site import PracticeSite, practice_site
from deploy.local.processes import LOOPBACK
from deploy.local.servers import MongoServer, RedisServer

Client = pymongo.MongoClient[dict[str, Any]]

_ELECTION_MS = 1000
_PRIMARY_TIMEOUT_S = 30


class TestableMongo(MongoServer):
    """A mongod that can be told to fail, by its command `configureFailPoint`."""

    __test__ = False

    def client(self) -> Client:
        """A client of this member alone."""
        return Client(LOOPBACK, self.port, directConnection=True, serverSelectionTimeoutMS=1000)

    def _arguments(self) -> list[str]:
        return [*super()._arguments(), "--setParameter", "enableTestCommands=1"]


class Member(TestableMongo):
    """One of several members of a replica set, which is formed elsewhere."""

    def _takes_writes(self) -> bool:
        with self.client() as client:
            return bool(client.admin.command("serverStatus")["pid"] == self.pid)


class MongoSet:
    """A replica set of three."""

    def __init__(self, folder: Path) -> None:
        self.members = [Member(folder / f"member-{number}") for number in range(3)]

    @property
    def uri(self) -> str:
        """Its address as `MONGO_URI` takes it."""
        hosts = ",".join(f"{LOOPBACK}:{member.port}" for member in self.members)
        return f"mongodb://{hosts}/?replicaSet=rs0"

    def start(self) -> None:
        """Starts all members and returns when there is a primary."""
        for member in self.members:
            member.start()
        hosts = [{"_id": i, "host": f"{LOOPBACK}:{m.port}"} for i, m in enumerate(self.members)]
        settings = {"electionTimeoutMillis": _ELECTION_MS, "heartbeatIntervalMillis": 300}
        config = {"_id": "rs0", "members": hosts, "settings": settings}
        with self.members[0].client() as client:
            client.admin.command("replSetInitiate", config)
        self.primary()

    def primary(self) -> Member:
        """The member that takes writes; waits for one."""
        deadline = time.monotonic() + _PRIMARY_TIMEOUT_S
        while time.monotonic() < deadline:
            with suppress(pymongo.errors.PyMongoError), Client(self.uri, timeoutMS=1000) as client:
                client.admin.command("ping")
                if client.primary is not None:
                    return next(m for m in self.members if m.port == client.primary[1])
            time.sleep(0.05)
        raise AssertionError("the replica set has no primary")

    def stop(self) -> None:
        """Ends all members; what they hold is of no further use."""
        for member in self.members:
            if member.running:
                member.kill()


class Servers:
    """Redis with each `appendfsync`, MongoDB alone and as a set, and the site: each once it is needed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._redis: dict[str, RedisServer] = {}
        self._mongo: TestableMongo | None = None
        self._mongo_set: MongoSet | None = None
        self._sites: dict[tuple[int, int], PracticeSite] = {}

    def redis(self, appendfsync: str) -> RedisServer:
        """An empty Redis with AOF."""
        if appendfsync not in self._redis:
            server = RedisServer(self._folder / f"redis-{appendfsync}", appendfsync=appendfsync)
            self._redis[appendfsync] = self._started(server)
        return self._redis[appendfsync]

    def mongo(self) -> TestableMongo:
        """A replica set of one."""
        if self._mongo is None:
            self._mongo = self._started(TestableMongo(self._folder / "mongo"))
        return self._mongo

    def mongo_set(self) -> MongoSet:
        """A replica set of three."""
        if self._mongo_set is None:
            self._mongo_set = self._started(MongoSet(self._folder / "mongo-set"))
        return self._mongo_set

    def site(self, pages: int, delay_ms: int) -> PracticeSite:
        """A graph of `pages` pages, each answered after `delay_ms`."""
        key = pages, delay_ms
        if key not in self._sites:
            folder = self._folder / f"site-{pages}-{delay_ms}"
            folder.mkdir()
            site = practice_site(folder, quotes=1, pages=pages, delay_ms=delay_ms)
            self._sites[key] = self._stack.enter_context(site)
        return self._sites[key]

    def _started(self, server: Any) -> Any:
        self._stack.callback(server.stop)
        server.start()
        return server


@contextmanager
def chaos_servers(folder: Path) -> Iterator[Servers]:
    """Servers for the while, with their data in `folder`."""
    with ExitStack() as stack:
        yield Servers(folder, stack)
