"""What goes to the frontier and comes back, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

# A priority beyond is as good as this; Lua counts exactly to 2^53 only.
MOST_PRIORITY = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """How a worker takes part: what it wants of the frontier at each exchange.

    `ttl_ms`: how long it is taken for alive without an exchange. `max_attempts`: after so many a request
    ends among the dead letters. `delay_ms`: least time between two leases of a host, 0 for none.
    `limit`: most leases of a host at once over all workers, 0 for no limit. `policy`: hosts that differ,
    as ``{host: (delay_ms, limit)}``. `persist`: a finished crawl keeps what it has seen.
    """

    ttl_ms: int = 20_000
    max_attempts: int = 3
    delay_ms: int = 0
    limit: int = 8
    policy: dict[str, tuple[int, int]] = field(default_factory=dict)
    persist: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A link to be queued. A `fingerprint` of None means that it is not deduplicated. `continues`: it is a
    retry or redirect of a page of this crawl, which a sealed crawl takes as well. `start`: the spider's start
    yielded it, so that no page leads to it again.
    """

    fingerprint: int | None
    host: str
    priority: int
    payload: bytes
    continues: bool = False
    start: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A lease whose page went wrong; `final` if trying again is of no use."""

    lease: int
    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that can't be crawled: where it came from, what it is, and why."""

    source: str
    payload: bytes
    reason: str


@dataclass(slots=True)
class Batch:
    """What a worker hands in at an exchange, and how many leases it wants."""

    found: list[Found] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    want: int = 0
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """A request that is this worker's until it is done, failed, or the worker is taken for dead."""

    id: int
    host: str
    priority: int
    attempts: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Counts:
    """Over the whole crawl; enqueued = done + queued + leased + dead at every moment."""

    enqueued: int = 0
    done: int = 0
    queued: int = 0
    leased: int = 0
    dead: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The frontier's answer. `due_ms` until a host is due, None if none waits; `known` of the found links
    were dropped, as seen before or too late for a `sealed` crawl. Of a `fenced` reply nothing else counts.
    """

    fenced: bool
    leases: list[Lease] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    due_ms: int | None = None
    finished: bool = False
    workers: int = 0
    known: int = 0
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """What a worker finds when it joins: the crawl's run, counted from 1, how many workers were there
    already, what is queued and seen from before, and whether the run has finished without it.
    """

    run: int
    workers: int
    queued: int
    seen: int
    over: int = 0


@dataclass(frozen=True, slots=True)
class Claims:
    """Entries taken off a list of start URLs, and how many wait or are claimed over all workers."""

    claims: list[bytes]
    entries: list[bytes]
    left: int
