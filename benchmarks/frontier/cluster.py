"""A Redis Cluster on loopback, and crawls that are on different nodes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from benchmarks.fairness.crowd import Crowd
from benchmarks.harness import wait_until
from crawlers.frontier import Frontier, connect
from deploy.local.processes import LOOPBACK
from deploy.local.servers import RedisServer

_SLOTS = 16_384
_FORM_S = 30


class ClusterNode(RedisServer):
    """A node of a cluster, alone at first."""

    @property
    def url(self) -> str:
        """The address of the cluster as `REDIS_URL` takes it; any node will do."""
        return f"redis+cluster://{LOOPBACK}:{self.port}"

    def _arguments(self) -> list[str]:
        return [*super()._arguments(), "--cluster-enabled", "yes"]


@contextmanager
def sharded_crawl(name: str, shards: int) -> Iterator[list[Crowd]]:
    """A crawl in so many parts, each on a node of its own, as the hash tag of its name has it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="benchmark-")))
        nodes = [ClusterNode(folder / f"node-{number}") for number in range(shards)]
        for node in nodes:
            stack.callback(node.stop)
            node.start()
        clients = [stack.enter_context(redis.Redis(LOOPBACK, node.port)) for node in nodes]
        form(clients, [node.port for node in nodes])
        names = _names(name, clients[0], shards)
        yield [
            Crowd(Frontier(connect({"REDIS_URL": node.url}), names[number]), client)
            for number, (node, client) in enumerate(zip(nodes, clients, strict=True))
        ]


def form(clients: Sequence[Any], ports: Sequence[int]) -> None:
    """The nodes share the slots, in their order."""
    for number, client in enumerate(clients):
        client.config_set("auto-aof-rewrite-percentage", 0)
        first, last = (_SLOTS * bound // len(clients) for bound in (number, number + 1))
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
        client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        if number > 0:
            client.execute_command("CLUSTER", "MEET", LOOPBACK, ports[0])
    wait_until(
        lambda: all(_is_formed(client) for client in clients), _FORM_S, lambda: "No cluster came about."
    )


def _is_formed(client: Any) -> bool:
    info = client.execute_command("CLUSTER INFO")
    return bool(info["cluster_state"] == "ok" and int(info["cluster_slots_assigned"]) == _SLOTS)


def _names(name: str, client: Any, shards: int) -> list[str]:
    """A name for each part, in the order of the nodes: numbers are tried behind `name` until one fits."""
    names: dict[int, str] = {}
    for number in count():
        slot = int(client.execute_command("CLUSTER KEYSLOT", f"{name}-{number}"))
        names.setdefault(slot * shards // _SLOTS, f"{name}-{number}")
        if len(names) == shards:
            return [names[shard] for shard in range(shards)]
    raise AssertionError
