"""One crawl as an operator sees it: its keys, read in steps that Redis is done with in a moment."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import msgpack

from crawlers.frontier import keys, scripts
from crawlers.frontier.bounds import number_of
from crawlers.frontier.codec import decode
from crawlers.frontier.connection import Client
from crawlers.frontier.exceptions import BadPayload, FrontierError
from crawlers.frontier.model import Terms

from .records import parse_work

if TYPE_CHECKING:
    from .queues import Store

_NUMBER = re.compile(rb"-?\d{1,18}")
_ADDRESS = re.compile(r"[0-9.]+|[0-9a-f:.]*:[0-9a-f:.]*")
MOST = 1000  # entries read in one step
FIRST, _STEP_BYTES = 50, 1_000_000  # elements differ in size: a step reads about a megabyte at most


class UnknownCrawl(FrontierError):
    """There is no such crawl in Redis, or it isn't clear which is meant."""


class BadRequest(FrontierError):
    """What an operator asked for can't be done; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A request outside of its queue: what there is to know of it."""

    host: str
    priority: int
    attempts: int
    payload: bytes

    @property
    def url(self) -> str:
        """Its URL; of a payload that isn't one, its first bytes."""
        return url_of(self.payload)


@dataclass(frozen=True, slots=True)
class Leased(Queued):
    """A request that a worker holds since `since_ms`."""

    worker: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Letter(Queued):
    """A dead letter; `id` is its place in the stream and begins with the ms of its arrival."""

    id: str
    reason: str

    @property
    def when_ms(self) -> int:
        """When it was put there."""
        return int(self.id.partition("-")[0])


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def url_of(payload: bytes) -> str:
    """The URL of a queued payload; of anything else its first characters."""
    try:
        return decode(payload, known_only=False).url
    except BadPayload:
        return payload[:200].decode(errors="backslashreplace")


def host_of_url(url: str) -> str:
    """The host of `url`, as `crawlers.scheduler.hostkeys.host_of` says; "" for none."""
    try:
        parts = urlsplit(url)
        return parts.hostname or parts.scheme
    except ValueError:
        return ""


def is_at(host: str, url: str) -> bool:
    """Whether `url` may be queued under `host`: its host, a domain above that, or an address; with the name
    of a proxy behind a |.
    """
    host = host.partition("|")[0]
    own = host_of_url(url)
    return own == host or own.endswith(f".{host}") or (own != "" and _ADDRESS.fullmatch(host) is not None)


def match(text: str) -> str:
    """`text` as it stands, for SCAN's patterns."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", text)


async def crawls(client: Client) -> list[str]:
    """The names of all crawls in Redis."""
    found = {key.decode() async for key in client.scan_iter("{*}:meta", count=MOST, _type="hash")}
    return sorted(key.removeprefix("{").removesuffix("}:meta") for key in found)


class Crawl:
    """The crawl `name` at this moment."""

    def __init__(self, client: Client, name: str, generation: int = 1, store: Store | None = None) -> None:
        self.client = client
        self.store = store
        self.name = name
        self.tag = f"{{{name}}}"
        self.base = f"{self.tag}:{generation}"

    @classmethod
    async def open(
        cls, client: Client, name: str | None, *, new: bool = False, store: Store | None = None
    ) -> Crawl:
        """The crawl `name`; None for the only one in Redis; `new`: one that need not exist. Without a `store`
        what is out of Redis can't be read.

        Raises :class:`UnknownCrawl`, and :class:`BadCrawlName` for a name that can't be one.
        """
        if not new and (name is None or not await client.exists(keys.meta(name))):
            name = _the_only(name, await crawls(client))
        assert name is not None
        generation = await client.hget(keys.meta(name), "generation")
        return cls(client, name, int(generation or 1), store)

    async def run(self, script: scripts.Script, values: dict[str, Any]) -> Any:
        """Runs a script of the frontier on this crawl."""
        return await script(self.client, keys.of_scripts(self.name), scripts.pack_input(values))

    async def terms(self) -> dict[str, int]:
        """How polite the crawl is, as the last worker to join was set; 0 for what isn't known."""
        packed = await cast(Any, self.client.hget(f"{self.tag}:policy", "*"))
        try:
            read = msgpack.unpackb(packed) if packed else {}
        except ValueError:
            read = {}
        known = read if isinstance(read, dict) else {}
        return {name: _number(known.get(name)) for name in Terms().of_the_crawl()}

    async def meta(self) -> dict[str, int]:
        """The counters and flags. What is missing, or no number, is 0 to whoever reads it."""
        fields = await cast(Any, self.client.hgetall(keys.meta(self.name)))
        return {name.decode(): int(value) for name, value in fields.items() if _NUMBER.fullmatch(value)}

    async def now_us(self) -> int:
        """Redis' own time."""
        seconds, microseconds = await self.client.time()
        return seconds * 1_000_000 + microseconds

    async def alive(self) -> set[str]:
        """The names of the workers that have not been taken for dead."""
        return {
            name.decode() async for name, _ in self.client.zscan_iter(keys.workers(self.name), count=MOST)
        }

    async def names(self, kind: str = "") -> AsyncIterator[str]:
        """The keys of this generation whose names begin with `kind`, without that; some may come twice."""
        prefix = f"{self.base}:{kind}"
        async for key in self.client.scan_iter(f"{match(prefix)}*", count=MOST):
            yield key.decode().removeprefix(prefix)

    async def hosts(self) -> AsyncIterator[list[str]]:
        """The hosts that have work, some at a time, each once."""
        seen: set[str] = set()
        some: list[str] = []
        async for name, _ in self.client.hscan_iter(f"{self.base}:hosts", count=MOST):
            host = name.decode()
            if host in seen:
                continue
            seen.add(host)
            some.append(host)
            if len(some) == MOST // 2:
                yield some
                some = []
        yield some

    async def priorities(self, host: str) -> list[int]:
        """The priorities of which `host` has requests, the highest first."""
        work = parse_work(await cast(Any, self.client.hget(f"{self.base}:hosts", host)))
        return [work.only] if work.only is not None else (await self.several_priorities([host]))[host]

    async def several_priorities(self, hosts: Sequence[str]) -> dict[str, list[int]]:
        """The same for each of these hosts, which may have more than one."""
        found: dict[str, list[int]] = {host: [] for host in hosts}
        left = list(hosts)
        while left:
            async with self.client.pipeline(transaction=False) as pipe:
                for host in left:
                    first = len(found[host])
                    pipe.zrange(f"{self.base}:priorities:{host}", first, first + MOST - 1)
                replies = await pipe.execute()
            for host, some in zip(left, replies, strict=True):
                found[host] += map(number_of, some)
            left = [host for host, some in zip(left, replies, strict=True) if len(some) == MOST]
        return found

    async def leases(self) -> AsyncIterator[Leased]:
        """All leases of all workers, also of those that are gone."""
        async for worker in self.names("leases:"):
            async for _, record in self.client.hscan_iter(f"{self.base}:leases:{worker}", count=100):
                if lease := parse_lease(worker, record):
                    yield lease

    async def dead_shelf(self) -> str:
        """What begins the names, in MongoDB, of the dead letters of this run."""
        key = keys.meta(self.name)
        await cast(Any, self.client.hsetnx(key, "shelf", secrets.randbelow(10**15)))
        shelf, run = await cast(Any, self.client.hmget(key, ["shelf", "run"]))
        return f"{shelf.decode()}.{number_of(run)}"

    async def letters(self, *, newest_first: bool = False) -> AsyncIterator[list[Letter]]:
        """The dead letters, some at a time, wherever they are."""
        if not newest_first:
            async for some in self.letters_out():
                yield some
        async for some in self.letters_here(newest_first=newest_first):
            yield some
        if newest_first:
            async for some in self.letters_out(newest_first=True):
                yield some

    async def letters_out(self, *, newest_first: bool = False) -> AsyncIterator[list[Letter]]:
        """Those that are in MongoDB."""
        if self.store and (await self.meta()).get("dead_out"):
            async for some in self.store.letters.read(await self.dead_shelf(), newest_first=newest_first):
                yield some

    async def letters_here(self, *, newest_first: bool = False) -> AsyncIterator[list[Letter]]:
        """Those that are in Redis."""
        key, edge, number = keys.dead(self.name), "+" if newest_first else "-", FIRST
        while True:
            read = self.client.xrevrange if newest_first else self.client.xrange
            limits = (edge, "-") if newest_first else (edge, "+")
            entries = await cast(Any, read(key, *limits, count=number))
            if not entries:
                return
            some = [_letter(id_.decode(), fields) for id_, fields in entries]
            yield some
            edge = f"({some[-1].id}"
            number = step_after([letter.payload for letter in some])


def parse_element(element: bytes) -> tuple[int, bytes]:
    """A queue's element: attempts and payload."""
    attempts, _, payload = element.partition(b" ")
    return number_of(attempts), payload


def parse_lease(worker: str, record: bytes) -> Leased | None:
    """A lease as `worker` holds it; None for one that can't be read."""
    parts = record.split(b" ", 4)
    try:
        priority, host, since_ms, attempts, payload = parts
        return Leased(host.decode(), int(priority), int(attempts), payload, worker, int(since_ms))
    except ValueError:
        return None


def step_after(some: list[bytes]) -> int:
    """How many elements to read next, after `some` of the same queue."""
    mean = sum(map(len, some)) // len(some) + 1
    return max(1, min(MOST, _STEP_BYTES // mean))


def _letter(id_: str, fields: dict[bytes, bytes]) -> Letter:
    host, reason = (fields.get(name, b"").decode(errors="replace") for name in (b"host", b"reason"))
    priority, attempts = (number_of(fields.get(name)) for name in (b"priority", b"attempts"))
    return Letter(host, priority, attempts, fields.get(b"payload", b""), id_, reason)


def _the_only(name: str | None, there: list[str]) -> str:
    shown = ", ".join(there[:20]) + (", …" if len(there) > 20 else "")
    if name is not None:
        raise UnknownCrawl(f"there is no crawl {name!r} in this Redis; there are: {shown or 'none'}")
    if not there:
        raise UnknownCrawl("there is no crawl in this Redis: see REDIS_URL")
    if len(there) > 1:
        raise UnknownCrawl(f"name one of the crawls in this Redis with --crawl: {shown}")
    return there[0]
