"""What a crawl loses, says and ends with when its frontier is lost, goes back or moves, or its clock steps.

    python -m benchmarks.lost_frontier [--pages 400] [--only NAME]

Each row is a crawl of the practice site by two workers with one thing done to their Redis amid it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from benchmarks.frontier.cluster import ClusterNode, form
from deploy.local.practice_site import PracticeSite, practice_site
from deploy.local.processes import LOOPBACK
from deploy.local.servers import RedisServer, mongo_server
from tests.helpers import start_spider, wait_until
from tests.slow_line import slow_line

_CRAWL = "lost-frontier"
_META = f"{{{_CRAWL}}}:meta"
_AT_SHARE = 0.4
"""Of the pages done when it happens."""
_LAG_S = 5
_SLOW_BYTES_PER_S = 5_000
_FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@dataclass
class Ground:
    """The servers of one crawl. `address`: REDIS_URL of its workers; `settings` and `env` are theirs."""

    folder: Path
    stack: ExitStack
    address: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    clients: list[Any] = field(default_factory=list)
    servers: list[RedisServer] = field(default_factory=list)

    def start(self, server: RedisServer) -> None:
        """Starts one more server."""
        self.stack.callback(server.kill)
        server.start()
        self.servers.append(server)
        self.clients.append(self.stack.enter_context(redis.Redis(LOOPBACK, server.port)))


class Case:
    """What is done to Redis amid a crawl."""

    def prepare(self, ground: Ground) -> None:
        """Starts what is needed; here one Redis."""
        ground.start(RedisServer(ground.folder / "redis"))
        ground.address = ground.servers[0].url

    def act(self, ground: Ground) -> None:
        """Does it."""

    def done(self, ground: Ground) -> int:
        """How many pages are done."""
        for client in ground.clients:
            try:
                return int(client.hget(_META, "done") or 0)
            except redis.RedisError:
                continue
        return 0


class Flush(Case):
    """FLUSHALL."""

    def act(self, ground: Ground) -> None:
        ground.clients[0].flushall()


class Restart(Case):
    """A Redis without AOF is killed and started again."""

    def prepare(self, ground: Ground) -> None:
        ground.start(RedisServer(ground.folder / "redis", appendonly=False))
        ground.address = ground.servers[0].url

    def act(self, ground: Ground) -> None:
        ground.servers[0].kill()
        ground.servers[0].start()


class Clock(Case):
    """The clock of Redis steps by so many seconds."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def prepare(self, ground: Ground) -> None:
        server = RedisServer(ground.folder / "redis")
        server.folder.mkdir(parents=True, exist_ok=True)
        self._set(server, 0)
        faked = {"LD_PRELOAD": _FAKETIME, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        faked["FAKETIME_TIMESTAMP_FILE"] = str(server.folder / "offset")
        os.environ |= faked
        try:
            ground.start(server)
        finally:
            for name in faked:
                del os.environ[name]
        ground.address = server.url

    def act(self, ground: Ground) -> None:
        self._set(ground.servers[0], self._seconds)

    def _set(self, server: RedisServer, seconds: int) -> None:
        new = server.folder / "offset.new"
        new.write_text(f"{seconds:+d}s\n")
        new.rename(server.folder / "offset")


class Failover(Case):
    """A replica that lags 5 s behind is promoted at the address of its primary, which is killed."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas

    def prepare(self, ground: Ground) -> None:
        super().prepare(ground)
        ground.start(RedisServer(ground.folder / "replica"))
        primary, replica = ground.clients
        primary.config_set("repl-diskless-sync-delay", 0)
        replica.replicaof(LOOPBACK, ground.servers[0].port)
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up")
        ground.settings["FRONTIER_REPLICAS"] = self._replicas

    def act(self, ground: Ground) -> None:
        primary = ground.servers[0]
        ground.clients[1].replicaof("NO", "ONE")  # from now on it hears of nothing
        time.sleep(_LAG_S)
        primary.kill()
        ground.clients[1].config_set("port", 0)
        ground.clients[1].config_set("port", primary.port)
        # Who waits for a replica waits for one of the new primary's as well.
        ground.start(RedisServer(ground.folder / "next"))
        ground.clients[-1].replicaof(LOOPBACK, primary.port)


class Resharding(Case):
    """Redis Cluster moves the slot of the crawl to another node, key by key."""

    def prepare(self, ground: Ground) -> None:
        for number in range(2):
            ground.start(ClusterNode(ground.folder / f"node-{number}"))
        form(ground.clients, [server.port for server in ground.servers])
        ground.address = ground.servers[0].url

    def act(self, ground: Ground) -> None:
        slot = int(ground.clients[0].execute_command("CLUSTER", "KEYSLOT", _META))
        ids = [client.execute_command("CLUSTER", "MYID").decode() for client in ground.clients]
        at = slot * 2 // 16_384
        source, target = ground.clients[at], ground.clients[1 - at]
        target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[at])
        source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1 - at])
        while keys := source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1):
            port = ground.servers[1 - at].port
            source.execute_command("MIGRATE", LOOPBACK, port, "", 0, 5000, "KEYS", *keys)
            time.sleep(0.1)
        for client in (target, source):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1 - at])


class SlowMongo(Case):
    """The line to MongoDB, to which the items go, carries a few kilobytes a second."""

    def prepare(self, ground: Ground) -> None:
        super().prepare(ground)
        server = ground.stack.enter_context(mongo_server(ground.folder / "mongo"))
        self._line = ground.stack.enter_context(slow_line(server.port, 10_000_000))
        ground.env["MONGO_URI"] = f"mongodb://{LOOPBACK}:{self._line.port}/?directConnection=true"
        ground.settings["ITEM_PIPELINES"] = json.dumps({"crawlers.pipelines.MongoPipeline": 300})
        ground.settings["MONGO_TIMEOUT_S"] = 2

    def act(self, ground: Ground) -> None:  # noqa: ARG002  # as the others'
        self._line.bytes_per_s = _SLOW_BYTES_PER_S


CASES: dict[str, Callable[[], Case]] = {
    "none": Case,
    "FLUSHALL": Flush,
    "restarted without AOF": Restart,
    "lagging failover": lambda: Failover(0),
    "lagging failover, FRONTIER_REPLICAS 1": lambda: Failover(1),
    "resharding": Resharding,
    "clock 600 s back": lambda: Clock(-600),
    "clock 600 s forward": lambda: Clock(600),
    "slow MongoDB": SlowMongo,
}


@contextmanager
def _ground() -> Iterator[Ground]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        yield Ground(folder, stack)


def crawl(case: Case, pages: int, site: PracticeSite) -> str:
    """A row of the table: pages lost, exit statuses, seconds, and what was said at WARNING or above."""
    with _ground() as ground:
        case.prepare(ground)
        before = len(site.visits())
        options: dict[str, Any] = {
            "folder": ground.folder,
            "arguments": {"crawl": _CRAWL, "url": f"{site.url.rstrip('/')}/graph/0"},
            "settings": {
                "SPIDER_MODULES": "tests.integration.spiders",
                "DOWNLOAD_DELAY": 0.03,
                "FRONTIER_LEASE_TTL_S": 4,
                **ground.settings,
            },
            "env": {"REDIS_URL": ground.address, **ground.env},
        }
        began_s = time.monotonic()
        with ExitStack() as stack:
            workers = [stack.enter_context(start_spider("graph", **options)) for _ in range(2)]
            wait_until(lambda: case.done(ground) >= _AT_SHARE * pages, 120)
            case.act(ground)
            ended = [worker.end(180) for worker in workers]
        took_s = time.monotonic() - began_s
        visited = {visit.path for visit in site.visits()[before:] if "/graph/" in visit.path}
    said = {
        line.partition("] ")[2][:160]
        for worker in ended
        for line in worker.log.splitlines()
        if re.search(r"\] (CRITICAL|ERROR|WARNING): .*(Redis|MongoDB|frontier|dead)", line)
    }
    statuses = ",".join(str(worker.status) for worker in ended)
    reasons = ",".join(sorted({worker.reason for worker in ended}))
    return f"{pages - len(visited)} | {statuses} {reasons} | {took_s:.0f} | " + " // ".join(sorted(said))


def main() -> None:
    """Prints a row for each case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lost_frontier", description=__doc__)
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--only", choices=CASES, help="one of them")
    options = parser.parse_args()
    print("| case | pages lost | exit statuses | seconds | said |\n| --- | --- | --- | --- | --- |")
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        practice_site(Path(folder), quotes=1, pages=options.pages) as site,
    ):
        for name in [options.only] if options.only else CASES:
            print(f"| {name} | {crawl(CASES[name](), options.pages, site)} |", flush=True)


if __name__ == "__main__":
    main()
