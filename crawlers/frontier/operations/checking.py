"""Whether a crawl's figures are those of its keys; and making them so."""

from __future__ import annotations

from dataclasses import dataclass, field

from crawlers.frontier import keys
from crawlers.frontier.scripts import Script

from .counting import Tally, tally
from .crawl import Crawl

_HOST, _WORKER, _BUCKET = (Script(f"operations/repair_{name}") for name in ("host", "worker", "bucket"))
_MOST_TRIES = 3


@dataclass(slots=True)
class Report:
    """What `check` found, in sentences, and what it repaired. `moved`: the crawl went on while it was
    counted, so that what was found may be no more than that. `hosts`, `requests`: how much was counted,
    `out` of these in MongoDB, where nobody looked. `gone`: the crawl counts so many requests, queued and
    leased, more than there are.
    """

    findings: list[str]
    repairs: list[str] = field(default_factory=list)
    moved: bool = False
    hosts: int = 0
    requests: int = 0
    out: int = 0
    gone: int = 0


async def check(crawl: Crawl, *, repair: bool = False) -> Report:
    """Counts `crawl` anew; with `repair` puts right what is wrong, unless the crawl moves."""
    counted = await _still(crawl)
    report = Report(findings(crawl, counted), moved=counted.moved, gone=_gone(counted))
    report.hosts, report.requests, report.out = len(counted.queued), counted.queued_in_all, counted.out
    if repair and report.findings and not counted.moved:
        report.repairs = await _repair(crawl, counted)
        after = await _still(crawl)
        report.findings, report.moved, report.gone = findings(crawl, after), after.moved, _gone(after)
    return report


async def _still(crawl: Crawl) -> Tally:
    """Counts until nothing moved meanwhile, a few times at most."""
    for _ in range(_MOST_TRIES):
        counted = await tally(crawl)
        if not counted.moved:
            break
    return counted


def findings(crawl: Crawl, counted: Tally) -> list[str]:
    """What doesn't fit, one sentence each."""
    return [
        *_wrong_counters(counted),
        *(f"the host {host} {what}" for host, what in _wrong_hosts(counted).items()),
        *_wrong_leases(counted),
        *(f"bucket {b} of the seen set is no set of integers" for b in sorted(counted.odd_buckets)),
        *(f"the key {crawl.base}:{name} {what}" for name, what in sorted(counted.foreign.items())),
    ]


def _wrong_counters(counted: Tally) -> list[str]:
    meta, found = counted.meta, _counts(counted)
    wrong = [
        f"the crawl counts {meta.get(name, 0):,} {name}, its keys hold {number:,}"
        for name, number in found.items()
        if meta.get(name, 0) != number
    ]
    total = sum(meta.get(name, 0) for name in ("done", "queued", "leased", "dead"))
    if meta.get("enqueued", 0) != total:
        enqueued = meta.get("enqueued", 0)
        wrong.append(f"{enqueued:,} were enqueued, but done, queued, leased and dead make {total:,}")
    return wrong


def _counts(counted: Tally) -> dict[str, int]:
    return {
        "queued": counted.queued_in_all,
        "out": counted.out,
        "leased": counted.leased,
        "spares": counted.spares,
        "dead": counted.dead,
        "seen": counted.seen,
    }


def _gone(counted: Tally) -> int:
    counts = sum(counted.meta.get(name, 0) for name in ("queued", "leased"))
    return max(0, counts - counted.queued_in_all - counted.leased)


def _wrong_hosts(counted: Tally) -> dict[str, str]:
    """What is wrong with each host that isn't in order."""
    wrong = {}
    named = (counted.hosts, counted.queued, counted.known, counted.active, counted.ready, counted.marked)
    for host in sorted(set[str]().union(*named)):
        if what := _wrong_host(counted, host):
            wrong[host] = " and ".join(what)
    return wrong


def _wrong_host(counted: Tally, host: str) -> list[str]:
    active = counted.hosts.get(host, 0)
    lengths = counted.queued.get(host, {})
    held = counted.active[host]
    wrong = []
    if torn := counted.torn[host]:
        wrong.append(f"has {torn:,} chunks that don't hold what they should")
    if active != held:
        wrong.append(f"counts {active:,} active, workers have {held:,} slots")
    if (host in counted.deep) != (host in counted.marked):
        wrong.append("is not marked as it should be for its deep queues")
    if counted.known.get(host, set()) != set(lengths):
        wrong.append("doesn't know the priorities of its queues")
    if lengths and host not in counted.ready and not held:  # with leases it may be at its limit
        wrong.append("has requests, but doesn't wait for its turn")
    if not lengths and host in counted.ready:
        wrong.append("waits for its turn without requests")
    return wrong


def _wrong_leases(counted: Tally) -> list[str]:
    gone = sorted(counted.holders - counted.alive)
    wrong = [f"{worker} holds leases or a record, but is no worker of this crawl" for worker in gone]
    wrong += [f"{n:,} leases of {worker} can't be read" for worker, n in counted.unreadable.items() if n]
    return wrong


async def _repair(crawl: Crawl, counted: Tally) -> list[str]:
    """Workers first, for what they held goes to the hosts; the counters last, for they count the rest."""
    did = await _repair_workers(crawl, sorted(counted.holders - counted.alive))
    for bucket in sorted(counted.odd_buckets):
        gone = await crawl.run(_BUCKET, {"bucket": bucket})
        did.append(f"wrote bucket {bucket} of the seen set anew, without {gone} that were no integers")
    did += await _repair_hosts(crawl, await _still(crawl))
    return did + await _repair_counters(crawl, await _still(crawl))


async def _repair_workers(crawl: Crawl, workers: list[str]) -> list[str]:
    did = []
    for worker in workers:
        held = 0
        while some := await crawl.run(_WORKER, {"worker": worker}):
            held += some
        did.append(f"took back the {held} leases of {worker}")
    return did


async def _repair_hosts(crawl: Crawl, counted: Tally) -> list[str]:
    did = []
    for host, what in _wrong_hosts(counted).items():
        active = counted.active[host] - counted.hosts.get(host, 0)
        priorities = list(counted.queued.get(host, {}))
        await crawl.run(_HOST, {"host": host, "priorities": priorities, "active": active})
        did.append(f"wrote the figures of the host {host} anew, which {what}")
    return did


async def _repair_counters(crawl: Crawl, counted: Tally) -> list[str]:
    """Adds what is missing, so that what changes meanwhile is kept."""
    missing = {name: n - counted.meta.get(name, 0) for name, n in _counts(counted).items()}
    after = {**counted.meta, **_counts(counted)}
    total = sum(after.get(name, 0) for name in ("done", "queued", "leased", "dead"))
    missing["enqueued"] = total - after.get("enqueued", 0)
    missing = {name: by for name, by in missing.items() if by}
    for name, by in missing.items():
        await crawl.client.hincrby(keys.meta(crawl.name), name, by)
    return [f"added {by:,} to the counter {name}" for name, by in missing.items()]
