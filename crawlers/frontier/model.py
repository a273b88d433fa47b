"""What goes to the frontier and comes back, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from .bounds import MOST_MS, within

# A priority beyond is as good as this; Lua counts exactly to 2^53 only.
MOST_PRIORITY = 1_000_000_000


class HostPolicy(NamedTuple):
    """What the settings say of one host: the fields of :class:`Terms` with these names."""

    delay_ms: int
    limit: int
    jitter: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """How a worker takes part, and how polite the whole crawl is from its joining on.

    `ttl_ms`: how long the worker is taken for alive without an exchange. `max_attempts`: after so many a
    request ends among the dead letters. `persist`: a finished crawl keeps what it has seen.

    Of the crawl: `delay_ms`, the least time from the start of one request to a host to the start of the next,
    0 for none, give or take `jitter` percent. `limit`: most requests of a host open at once, 0 for no limit.
    `policy`: hosts that differ. `robots`: a host's robots.txt is to be known before its pages are fetched.
    `start_ms`: a lease that has a host's turn is used within this time or not at all. `host_pages`: most
    links of one host that are taken, 0 for no limit. `strict`: priorities hold over hosts, so that one with
    urgent requests goes before all others; else each host has its turn. `chunk`: what is queued behind so
    many requests of a host may be moved out of Redis, in chunks of this size; 0: nothing is. `seen_small`: a
    crawl that has seen nothing yet is to keep 44 bits of what it sees, in 4 to 5 bytes a URL, rather than 64
    in 9 to 10.

    A host in trouble waits `back_off_ms`, twice as long after each further failure, `back_off_max_ms` at
    most. After `strikes` failures in a row, 0 for never, it is set aside for `rest_ms`; after `rests` times
    of that, 0 for never, its pages become dead letters. A `Crawl-delay` is followed up to
    `crawl_delay_max_ms`, 0 for whatever it is.

    `throttle`: thousandths of the requests to be open at a host on average, from which and from its latency
    follows its delay, `throttle_start_ms` at first and `throttle_max_ms` at most; 0: it does not.
    """

    ttl_ms: int = 20_000
    max_attempts: int = 3
    persist: bool = False
    delay_ms: int = 0
    jitter: int = 0
    limit: int = 8
    policy: dict[str, HostPolicy] = field(default_factory=dict)
    robots: bool = False
    start_ms: int = 1_000
    host_pages: int = 0
    strict: bool = False
    chunk: int = 0
    seen_small: bool = False
    back_off_ms: int = 1_000
    back_off_max_ms: int = 300_000
    strikes: int = 10
    rest_ms: int = 3_600_000
    rests: int = 3
    throttle: int = 0
    throttle_start_ms: int = 5_000
    throttle_max_ms: int = 60_000
    crawl_delay_max_ms: int = 0

    def of_the_crawl(self) -> dict[str, int]:
        """What holds for all hosts and workers, as `manners.lua` reads it."""
        own = {"ttl_ms", "max_attempts", "persist", "policy"}
        return {f.name: int(getattr(self, f.name)) for f in fields(self) if f.name not in own}


class Found(NamedTuple):
    """A link to be queued. A `fingerprint` of None means that it is not deduplicated. `continues`: it is a
    retry or redirect of a page of this crawl, which a sealed crawl takes as well. `start`: the spider's start
    yielded it, so that no page leads to it again. Of two with one fingerprint in an exchange either is taken.
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


@dataclass(frozen=True, slots=True)
class News:
    """What a worker saw of a host. `robots`: its robots.txt was read. `answer`: how fast it answered.
    `trouble`: it failed, or asked to be left alone. The `values` are those of the functions in `news.lua`.
    """

    kind: str
    host: str
    values: tuple[Any, ...]

    @classmethod
    def robots(cls, host: str, delay_ms: int, ttl_ms: int) -> News:
        """Its robots.txt asks for `delay_ms` from start to start, 0 for none, and is good for `ttl_ms`."""
        return cls("robots", host, (within(delay_ms, 0, MOST_MS), within(ttl_ms, 0, MOST_MS)))

    @classmethod
    def answer(cls, host: str, latency_ms: int, status: int) -> News:
        """It answered after `latency_ms` with an HTTP `status`."""
        return cls("answer", host, (within(latency_ms, 0, MOST_MS), within(status, 0, 999)))

    @classmethod
    def trouble(cls, host: str, reason: str, *, wait_ms: int | None = None, patient: bool = False) -> News:
        """It asks for `wait_ms`, None if it doesn't say. `patient`: twice it may be the page's fault."""
        wait_ms = -1 if wait_ms is None else within(wait_ms, 0, MOST_MS)
        return cls("trouble", host, (wait_ms, reason, patient))


@dataclass(slots=True)
class Batch:
    """What a worker hands in at an exchange, and how many leases it wants.

    `visits`: leases that went to their sites, and how many us ago. `released`: leases that weren't used.
    `slots`: how many of the leases wanted could start at once. `spares`: hosts of which it would take leases
    beyond their limit, and how many within it the worker still has there. `opened`: hosts of starts that lie
    inside.
    """

    found: list[Found] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    visits: list[tuple[int, int]] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    want: int = 0
    slots: int = 1_000_000
    spares: list[tuple[str, int]] = field(default_factory=list)
    idle: bool = False
    opened: list[str] = field(default_factory=list)


class Lease(NamedTuple):
    """A request that is this worker's until it is done, failed, or the worker is taken for dead.

    `timed`: it has the turn of its host; say when it goes there. `scout`: nobody knows the robots.txt of its
    host; find it out first. `watched`: say how its host answers.
    """

    id: int
    host: str
    priority: int
    attempts: int
    payload: bytes
    flags: int = 0

    @property
    def timed(self) -> bool:
        """It has the turn of its host."""
        return bool(self.flags & 1)

    @property
    def scout(self) -> bool:
        """Nobody knows the robots.txt of its host."""
        return bool(self.flags & 2)

    @property
    def watched(self) -> bool:
        """Its host has failed, or its latency counts."""
        return bool(self.flags & 4)


@dataclass(frozen=True, slots=True)
class Counts:
    """Over the whole crawl; enqueued = done + queued + leased + dead at every moment. `cookies`: the version
    of those that are shared, which grows with each change; 0: there are none.
    """

    enqueued: int = 0
    done: int = 0
    queued: int = 0
    leased: int = 0
    dead: int = 0
    dropped: int = 0
    cookies: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The frontier's answer. `due_ms` until a host is due, None if none waits; `known` of the found links
    were dropped, as seen before, too late for a `sealed` crawl, or more than their hosts are allowed; `spent`
    are hosts that have just had all they are. `spares`: of the worker's leases of a host so many, the last,
    are beyond its limit, each to start in the place of another that is over; `spared`: hosts of which none
    is to start any more.
    `silent_ms`: for so long the worker was not heard of by Redis' clock, less than 0 where that went back.
    `missing`: so many leases that the worker has ended were not in Redis; -1: there are requests that nobody
    can lease or has leased. Of a `fenced` reply only `counts` and `run` count, and whether the frontier that
    the worker joined is `lost`, or was cleared or is at a `later` run.
    """

    fenced: bool
    leases: list[Lease] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    due_ms: int | None = None
    finished: bool = False
    workers: int = 0
    known: int = 0
    sealed: bool = False
    spent: list[str] = field(default_factory=list)
    spares: dict[str, int] = field(default_factory=dict)
    spared: list[str] = field(default_factory=list)
    missing: int = 0
    silent_ms: int = 0
    run: int = 0
    lost: bool = False
    later: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """What a worker finds when it joins: the crawl's run, counted from 1, how many workers were there
    already, what is queued and seen from before, whether the run has finished without it, which
    frontier and generation it is, and for how long the run has been under way.
    """

    run: int
    workers: int
    queued: int
    seen: int
    over: int = 0
    born: int = field(default=0, compare=False)
    generation: int = field(default=1, compare=False)
    age_ms: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Claims:
    """Entries taken off a list of start URLs, and how many wait or are claimed over all workers.

    `aside`: keys that were of no use and gave way: type, key and its new name.
    """

    claims: list[bytes]
    entries: list[bytes]
    left: int
    aside: list[tuple[str, str, str]] = field(default_factory=list)
