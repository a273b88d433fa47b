"""What a crawl is doing: as a whole, its hosts, its workers and its dead letters. Nothing is changed."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from crawlers.frontier.bounds import number_of
from crawlers.frontier.status import read_status

from .crawl import Crawl
from .queues import lengths
from .records import Manners, parse_manners, parse_policy, parse_work


@dataclass(frozen=True, slots=True)
class Host:
    """A host with work. `due_ms` until one of its requests may start; None while it has none, or is at its
    limit. `delay_ms` from the start of one request to the next, as it is `given` by the settings, robots.txt
    or the host's own latency. `own`: its settings are those of DOWNLOAD_SLOTS. A delay or limit of 0: none.
    `asleep_ms`: for how long it is left alone, 0 for not, and `why`. `failures` in a row.
    `spent`: it has had all the pages that the crawl allows it.
    """

    host: str
    queued: int
    active: int
    due_ms: int | None
    delay_ms: int
    limit: int
    own: bool
    given: str
    asleep_ms: int
    why: str
    failures: int
    spent: bool


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A live worker. `busy`: it may still bring work of its own. `hungry`: it got less than it wanted."""

    name: str
    done: int
    leased: int
    expires_ms: int
    joined_ms: int
    busy: bool
    hungry: bool


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead letter for people to read; `when_ms` since 1970."""

    when_ms: int
    host: str
    url: str
    attempts: int
    reason: str


async def overview(crawl: Crawl) -> dict[str, Any]:
    """The counters, and the state in a word: running, interrupted, paused, sealed or finished."""
    meta, status = await crawl.meta(), await read_status(crawl.client, crawl.name)
    counted = ("enqueued", "done", "queued", "leased", "dead", "dropped")
    return {
        "crawl": crawl.name,
        "state": _state(meta, bool(status.workers)),
        "run": status.run,
        **{name: getattr(status, name) for name in counted},
        "in_mongodb": meta.get("out", 0),
        "dead_in_mongodb": meta.get("dead_out", 0),
        "seen": meta.get("seen", 0),
        "over_budget": meta.get("over_budget", 0),
        "workers": len(status.workers),
        "due_hosts": await crawl.client.zcard(f"{crawl.base}:ready")
        + await crawl.client.zcard(f"{crawl.base}:urgent"),
        "started_ms": meta.get("started_ms"),
        "finished_ms": meta.get("finished_ms") if status.finished else None,
    }


def _state(meta: dict[str, int], alive: bool) -> str:
    words = [name for name in ("finished", "paused", "sealed") if meta.get(name)]
    return ", ".join(words) or ("running" if alive else "interrupted")


async def hosts(crawl: Crawl, limit: int = 0) -> list[Host]:
    """The hosts with work, those with the most queued first; at most `limit`, 0 for all."""
    found: list[Host] = []
    async for some in crawl.hosts():
        found += await describe(crawl, some)
        if limit:
            found = heapq.nsmallest(limit, found, key=_order)
    return sorted(found, key=_order)


def _order(host: Host) -> tuple[int, int, str]:
    return -host.queued, -host.active, host.host


async def describe(crawl: Crawl, names: list[str]) -> list[Host]:
    """The hosts `names`, of which those that have no work left are skipped."""
    if not names:
        return []
    now_us = await crawl.now_us()
    async with crawl.client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hget(f"{crawl.base}:hosts", name)
            pipe.zscore(f"{crawl.base}:ready", name)
            pipe.zscore(f"{crawl.base}:urgent", name)
            pipe.hget(f"{crawl.tag}:policy", name)
            pipe.get(f"{crawl.tag}:manners:{name}")
            pipe.hget(f"{crawl.base}:pages", name)
        replies = await pipe.execute()
    terms = await crawl.terms()
    works = {name: parse_work(work) for name, work in zip(names, replies[::6], strict=True)}
    queued = await lengths(crawl, works)
    found = zip(names, *(replies[n::6] for n in range(1, 6)), strict=True)
    hosts = (
        _host(
            name,
            queued[name],
            works[name].active,
            due_us if urgent is None else now_us,
            own,
            parse_manners(kept),
            number_of(taken),
            terms,
            now_us,
        )
        for name, due_us, urgent, own, kept, taken in found
    )
    return [host for host in hosts if host.queued or host.active]


def _host(
    name: str,
    queued: int,
    active: int,
    due_us: float | None,
    own: bytes | None,
    kept: Manners,
    taken: int,
    terms: Mapping[str, int],
    now_us: int,
) -> Host:
    policy = parse_policy(own)
    set_ms, limit = policy or (terms["delay_ms"], terms["limit"])
    asked_for = {"DOWNLOAD_SLOTS" if policy else "setting": set_ms}
    if terms["throttle"]:
        asked_for["latency"] = kept.throttle_ms or terms["throttle_start_ms"]
    if kept.robots_us > now_us:
        asked_for |= _robots_delay(kept.robots_ms, terms["crawl_delay_max_ms"])
    given = max(asked_for, key=lambda source: asked_for[source])
    asleep_ms = max(0, (kept.wake_us - now_us) // 1000)
    return Host(
        host=name,
        queued=queued,
        active=active,
        due_ms=None if due_us is None else max(0, round((due_us - now_us) / 1000)),
        delay_ms=asked_for[given],
        limit=limit,
        own=policy is not None,
        given=given,
        asleep_ms=asleep_ms,
        why=kept.why,
        failures=kept.strikes,
        spent=0 < terms["host_pages"] <= taken,
    )


def _robots_delay(asked_ms: int, most_ms: int) -> dict[str, int]:
    """The delay by robots.txt; where the crawl doesn't follow all of it, its source says what was asked."""
    if 0 < most_ms < asked_ms:
        return {f"robots.txt, capped: it asks for {asked_ms / 1000:,g} s": most_ms}
    return {"robots.txt": asked_ms}


async def workers(crawl: Crawl) -> list[WorkerState]:
    """The live workers."""
    found = []
    for worker in (await read_status(crawl.client, crawl.name)).workers:
        async with crawl.client.pipeline(transaction=False) as pipe:
            pipe.hget(f"{crawl.base}:worker:{worker.name}", "joined_ms")
            pipe.sismember(f"{crawl.tag}:busy", worker.name)
            pipe.sismember(f"{crawl.tag}:hungry", worker.name)
            joined_ms, busy, hungry = await pipe.execute()
        times = (worker.expires_ms, number_of(joined_ms))
        found.append(WorkerState(worker.name, worker.done, worker.leased, *times, bool(busy), bool(hungry)))
    return found


async def dead(crawl: Crawl, reason: str = "", limit: int = 0) -> AsyncIterator[Dead]:
    """The dead letters whose reason holds `reason`, the newest first; at most `limit`, 0 for all."""
    number = 0
    async for some in crawl.letters(newest_first=True):
        for letter in some:
            if reason not in letter.reason:
                continue
            yield Dead(letter.when_ms, letter.host, letter.url, letter.attempts, letter.reason)
            number += 1
            if number == limit:
                return
