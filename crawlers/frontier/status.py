"""What a crawl is doing, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import keys
from .bounds import number_of, within
from .connection import Client


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A live worker: pages it has done, requests leased to it, ms until it is taken for dead."""

    name: str
    done: int
    leased: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Status:
    """A crawl at one moment; enqueued = done + queued + leased + dead."""

    enqueued: int
    done: int
    queued: int
    leased: int
    dead: int
    dropped: int
    finished: bool
    run: int
    workers: list[WorkerStatus]


async def read_status(client: Client, crawl: str) -> Status:
    """The status of `crawl`; all zero for one that never was."""
    names = ("enqueued", "done", "queued", "leased", "dead", "dropped", "finished", "run", "generation")
    values: list[Any] = await client.hmget(keys.meta(crawl), list(names))
    meta = {name: number_of(value) for name, value in zip(names, values, strict=True)}
    workers = await _workers(client, crawl, meta.pop("generation"))
    return Status(finished=meta.pop("finished") == 1, run=meta.pop("run"), workers=workers, **meta)


async def _workers(client: Client, crawl: str, generation: int) -> list[WorkerStatus]:
    seconds, microseconds = await client.time()
    now_ms = seconds * 1000 + microseconds // 1000
    base = f"{{{crawl}}}:{generation}"
    workers = []
    alive: list[Any] = await client.zrange(keys.workers(crawl), 0, -1, withscores=True)
    for name, expires in alive:
        worker = name.decode()
        done: Any = await client.hget(f"{base}:worker:{worker}", "done")
        leased = await client.hlen(f"{base}:leases:{worker}")
        workers.append(WorkerStatus(worker, number_of(done), leased, within(expires, 0, 2**52) - now_ms))
    return workers
