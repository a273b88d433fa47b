"""The frontier of one crawl, as seen by one process.

:class:`Frontier` sends what it is given and raises what redis-py raises: who calls it decides when to
repeat. A repeated exchange has no second effect.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import zlib
from collections.abc import Callable
from itertools import chain, islice
from typing import Any, cast

import msgpack
from redis.exceptions import ResponseError

from . import keys, scripts
from .bounds import within
from .connection import Client
from .exceptions import BadStartUrls
from .model import MOST_PRIORITY, Batch, Claims, Counts, Found, HostPolicy, Joined, Lease, Reply, Terms
from .packing import pack_batch
from .status import Status, read_status

_MOST_POLICIES = 500  # hosts in one call
_POLICY_MS = 60_000  # until what a worker that never joined has brought is gone
_MOST_ENTRY = 512 * 1024  # bytes of an entry of start URLs, unless who claims it says otherwise
_MOST_SHOWN = 500  # bytes of one that is larger
_MOST_CLAIMED = 4 * 1024 * 1024  # bytes of all entries that are claimed at a time
_CUT = re.compile(rb"\0cut (\d{1,15}) ")
_SCORE = re.compile(rb"\0score (\S{1,30}) ")
_PRESSED = b"x\x9c"  # how what zlib compresses begins, and no text does
_WORTH_PRESSING = 200  # bytes
_PRESSED_AT_ONCE = 64 * 1024  # bytes; compressing more takes milliseconds, and so a thread
_MOST_ROBOTS = 512 * 1024  # bytes; no worker keeps more
MOST_COOKIE_SITES = 10_000
"""Sites of which cookies are shared, some 5 MB; the one whose cookies changed longest ago goes first."""
MOST_COOKIE_BYTES = 65_536
"""Bytes of all cookies of a site; browsers keep some 180 of 4,096 bytes (RFC 6265, 6.1, asks for 50)."""


class Member:
    """One worker's part in a crawl, from `join` to `leave`, under a name that is never used again."""

    def __init__(self, frontier: Frontier, name: str, terms: Terms, joined: Joined) -> None:
        self.name = name
        self._joined = joined
        self._frontier = frontier
        self._terms = terms
        self._sequence = 0
        self._hosts: dict[int, bytes] = {}  # of the leases that it holds
        self._ending: list[int] = []  # those that end with the exchange under way

    def prepare(self, batch: Batch) -> bytes:
        """The next exchange, ready to be sent: once, or again and again until a reply arrives."""
        self._sequence += 1
        self._ending = [*batch.done, *(failed.lease for failed in batch.failed), *batch.released]
        return pack_batch(batch, self._values)

    def _values(self, batch: Batch) -> dict[str, Any]:
        return {
            "worker": self.name,
            "born": self._joined.born,
            "run": self._joined.run,
            "generation": self._joined.generation,
            "sequence": self._sequence,
            "found": _by_queue(batch.found),
            "done": self._by_host(batch.done),
            "failed": [(f.lease, f.reason, f.final) for f in batch.failed],
            "refused": [(r.source, r.payload, r.reason) for r in batch.refused],
            "visits": batch.visits,
            "news": [(n.kind, n.host, *n.values) for n in batch.news],
            "released": batch.released,
            "want": batch.want,
            "slots": batch.slots,
            "spares": batch.spares,
            "idle": batch.idle,
            "opened": batch.opened,
            "ttl_ms": self._terms.ttl_ms,
            "max_attempts": self._terms.max_attempts,
        }

    async def send(self, prepared: bytes) -> Reply:
        """Sends what :meth:`prepare` made. Raises redis-py's errors; then send the same again."""
        frontier = self._frontier
        reply = await scripts.EXCHANGE(frontier.client, frontier.keys, prepared, replicas=frontier.replicas)
        if reply[0] != 0:
            _, counts, run, lost = reply
            return Reply(fenced=True, counts=Counts(*counts), run=run, lost=lost == 1, later=lost == 2)
        (
            _,
            leases,
            counts,
            due_ms,
            finished,
            workers,
            known,
            sealed,
            spent,
            spares,
            spared,
            missing,
            silent_ms,
        ) = reply
        for id_ in self._ending:
            self._hosts.pop(id_, None)
        return Reply(
            fenced=False,
            missing=missing,
            silent_ms=silent_ms,
            leases=[self._lease(*leases[at : at + 3]) for at in range(0, len(leases), 3)],
            counts=Counts(*counts),
            due_ms=None if due_ms < 0 else due_ms,
            finished=finished == 1,
            workers=workers,
            known=known,
            sealed=sealed == 1,
            spent=[host.decode(errors="replace") for host in spent],
            spared=[host.decode(errors="replace") for host in spared],
            spares={spares[at].decode(errors="replace"): spares[at + 1] for at in range(0, len(spares), 2)},
        )

    async def exchange(self, batch: Batch) -> Reply:
        """Hands in `batch` and leases more, in one atomic step."""
        return await self.send(self.prepare(batch))

    def _lease(self, id_: int, record: bytes, flags: int) -> Lease:
        priority, host, _, attempts, payload = record.split(b" ", 4)
        self._hosts[id_] = host
        return Lease(id_, host.decode(errors="replace"), int(priority), int(attempts), payload, flags)

    def _by_host(self, leases: list[int]) -> list[tuple[bytes, list[str]]]:
        """Leases by the host that each is of; a lease that isn't held has none, and is left out."""
        by_host: dict[bytes, list[str]] = {}
        for id_ in leases:
            if (host := self._hosts.get(id_)) is not None:
                by_host.setdefault(host, []).append(str(id_))
        return list(by_host.items())

    async def park(self, unknown: dict[int, str], wait_ms: int) -> int:
        """Gives back leases that a newer worker may know to run, with what is `unknown` to this one. They are
        leased again after 10 s, and are dead letters `wait_ms` after they were first parked. Returns how many
        of them have become dead letters.
        """
        values = {"worker": self.name, "unknown": list(unknown.items()), "wait_ms": wait_ms}
        values["max_attempts"] = self._terms.max_attempts
        dead = await scripts.PARK(self._frontier.client, self._frontier.keys, scripts.pack_input(values))
        for id_ in unknown:
            self._hosts.pop(id_, None)
        return int(dead)

    async def leave(self) -> bool:
        """Gives back all that is still leased. True for the last worker of a finished crawl."""
        values = scripts.pack_input({"worker": self.name, "persist": self._terms.persist})
        while (last := await scripts.LEAVE(self._frontier.client, self._frontier.keys, values)) == -1:
            pass
        return bool(last == 1)


class Frontier:
    """The frontier of the crawl named `crawl`. An exchange is over once so many `replicas` have it."""

    def __init__(self, client: Client, crawl: str, *, replicas: int = 0) -> None:
        self.client = client
        self.replicas = replicas
        self.patience_s: Callable[[], float | None] = lambda: None
        """How long a page may wait for Redis now, in seconds; None: for ever, until the worker closes."""
        self.crawl = crawl
        self.keys = keys.of_scripts(crawl)

    async def join(
        self, name: str, terms: Terms, *, flush: bool = False, run: int = 0
    ) -> tuple[Member, Joined]:
        """Enters the crawl. A finished one starts anew, an interrupted one goes on.

        `name` is for people to read; what makes it unique is added. `flush` drops all that is queued
        and seen, unless other workers are at it. `run`: where a worker was that comes back, 0 for a new
        one; that run, if it has finished meanwhile, stays finished.
        """
        unique = f"{name}:{secrets.token_hex(4)}"
        policy_key = keys.policy(self.crawl, unique) if terms.policy else ""
        values = {
            "worker": unique,
            "ttl_ms": terms.ttl_ms,
            "max_attempts": terms.max_attempts,
            "persist": terms.persist,
            "flush": flush,
            "run": run,
            "terms": terms.of_the_crawl(),
            "policy": policy_key,
        }
        packed = scripts.pack_input(values)
        while True:
            if policy_key:
                await self._bring_policy(policy_key, terms.policy)
            state = await scripts.JOIN(self.client, self.keys, packed)
            if state != [-1]:
                break
        joined = Joined(*state)
        return Member(self, unique, terms, joined), joined

    async def _bring_policy(self, key: str, policy: dict[str, HostPolicy]) -> None:
        """Bit by bit to a key of its own, which `join` takes: all at once would hold Redis up."""
        records = iter([(host, " ".join(map(str, own))) for host, own in policy.items()])
        while some := list(islice(records, _MOST_POLICIES)):
            async with self.client.pipeline(transaction=True) as pipe:
                pipe.hset(key, items=list(chain(*some)))
                pipe.pexpire(key, _POLICY_MS)
                await pipe.execute()

    async def first_job(self, run: int, job: dict[str, str]) -> dict[str, str]:
        """What the first worker of `run` was started with; `job` where this is the first."""
        key = keys.job(self.crawl)
        packed = cast("bytes | None", await self.client.get(key))
        try:
            first_run, first = msgpack.unpackb(packed or b"")
            texts = {str(name): str(value) for name, value in first.items()}
        except (ValueError, TypeError, AttributeError):  # there is none yet, or none that a worker wrote
            first_run, texts = None, {}
        if first_run == run:
            return texts
        await self.client.set(key, msgpack.packb((run, job), unicode_errors="backslashreplace"))
        return job

    async def renew(self, worker: str, ttl_ms: int) -> bool:
        """Takes `worker` for alive for another `ttl_ms`; False if it was taken for dead already."""
        return bool(await scripts.RENEW(self.client, (keys.workers(self.crawl),), worker, ttl_ms) == 1)

    async def let_go(self, worker: str, lease: int, reason: str, max_attempts: int) -> bool:
        """Ends `worker`, whose loop is blocked by the page of `lease`, 0 for none of its pages. That page is
        tried again, or a dead letter after `max_attempts`; of its others no attempt is counted. False if the
        worker was taken for dead already.
        """
        values = {"worker": worker, "lease": lease, "reason": reason, "max_attempts": max_attempts}
        return bool(await scripts.LET_GO(self.client, self.keys, scripts.pack_input(values)) == 1)

    async def take_turn(self, host: str) -> float:
        """Takes the next turn of `host` for a request beside the queues. Seconds until it may start."""
        wait_ms = await scripts.VISIT(self.client, self.keys, scripts.pack_input({"host": host}))
        return int(wait_ms) / 1000

    async def robots(self, origin: str) -> bytes | None:
        """The robots.txt of `origin` as some worker kept it; None if none has, or it is forgotten."""
        asked = scripts.pack_input({"origin": origin})
        kept = await scripts.ROBOTS(self.client, self.keys, asked)
        return None if kept is None else _unpressed(kept)

    async def keep_robots(self, origin: str, text: bytes, ttl_ms: int, most_bytes: int) -> None:
        """Keeps the robots.txt of `origin` for all workers; of all that are kept, those used last that fit
        into `most_bytes`, 0: into an eighth of Redis' maxmemory, which is the most in any case.
        """
        pressed = text
        if len(text) > _PRESSED_AT_ONCE:
            pressed = await asyncio.to_thread(zlib.compress, text)
        elif len(text) > _WORTH_PRESSING:
            pressed = zlib.compress(text)
        given = {"origin": origin, "text": pressed, "ttl_ms": ttl_ms, "most": most_bytes}
        await scripts.ROBOTS(self.client, self.keys, scripts.pack_input(given))

    async def cookies(self, site: str) -> dict[str, str]:
        """The cookies that workers have shared under `site`: payloads by cookie. Empty for none."""
        try:
            packed = await cast(Any, self.client.hget(keys.cookies(self.crawl), site))
            kept = msgpack.unpackb(packed) if packed else {}
        except (ValueError, ResponseError):  # no worker wrote that; the next change writes over it
            return {}
        items = kept.items() if isinstance(kept, dict) else ()
        return {name: value for name, value in items if isinstance(name, str) and isinstance(value, str)}

    async def share_cookies(self, site: str, changed: dict[str, str], gone: list[str]) -> bool:
        """Makes these changes to the cookies of `site`. False, without any, where it would have too many."""
        version = await scripts.COOKIES(
            self.client,
            self.keys,
            scripts.pack_input(
                {
                    "site": site,
                    "set": list(chain.from_iterable(changed.items())),
                    "gone": gone,
                    "most_sites": MOST_COOKIE_SITES,
                    "most_bytes": MOST_COOKIE_BYTES,
                }
            ),
        )
        return int(version) > 0

    async def is_opened(self, host: str) -> bool:
        """Whether a start of the crawl has `host`, which lies inside."""
        found = await cast(Any, self.client.sismember(keys.inside(self.crawl), host))
        return bool(found)

    async def status(self) -> Status:
        """The crawl at this moment; all zero for one that never was."""
        return await read_status(self.client, self.crawl)

    async def has_scrapy_redis_fingerprints(self, *, persist: bool) -> bool:
        """Whether scrapy-redis' own fingerprints are in the seen set with which the crawl goes on."""
        fields = ["scrapy_redis", "finished"]
        imported, finished = await cast(Any, self.client.hmget(self.keys[0], fields))
        return imported == b"1" and (persist or finished != b"1")

    async def purge(self) -> None:
        """Frees the memory of cleared crawls, some at a time."""
        while await scripts.PURGE(self.client, self.keys, scripts.pack_input({"most": 200})):
            pass

    async def claim(self, start_urls: str, most: int, hold_ms: int, max_bytes: int = _MOST_ENTRY) -> Claims:
        """Takes up to `most` entries off the list, set or sorted set `start_urls`, fewer where they are long.

        Entries that are not released within `hold_ms` are handed out again. Of one longer than `max_bytes`
        only its length and beginning come, see :func:`length_when_cut`. Raises :class:`BadStartUrls` where
        the key holds something else, and takes nothing.
        """
        held = keys.claims(start_urls, self.crawl)
        limits = most, hold_ms, max_bytes, _MOST_SHOWN, _MOST_CLAIMED
        reply: list[Any] = await scripts.CLAIM(self.client, (start_urls, *held), *limits)
        if len(reply) == 2:
            kind, key = (text.decode(errors="replace") for text in reply)
            raise BadStartUrls(
                f"the key {key!r} holds a {kind}; push start URLs to a list, set or sorted set,"
                " or delete that key"
            )
        claims, entries, left, aside = reply
        texts = [text.decode(errors="replace") for text in aside]
        moved = [(texts[at], texts[at + 1], texts[at + 2]) for at in range(0, len(texts), 3)]
        return Claims(claims, entries, left, moved)

    async def release(self, start_urls: str, claims: list[bytes]) -> None:
        """Forgets claimed entries, which are in the frontier now."""
        entries, claimed = keys.claims(start_urls, self.crawl)
        async with self.client.pipeline(transaction=True) as pipe:
            pipe.zrem(claimed, *claims)
            pipe.hdel(entries, *claims)
            await pipe.execute()


def _unpressed(kept: bytes) -> bytes:
    """What :meth:`Frontier.keep_robots` was given, or an older version; it may be anybody's, and a bomb."""
    if not kept.startswith(_PRESSED):
        return kept
    try:
        return zlib.decompressobj().decompress(kept, _MOST_ROBOTS)
    except zlib.error:
        return kept


def score_of(entry: bytes) -> tuple[int, bytes]:
    """The score of an entry of a sorted set, as a priority, and the entry; 0 for any other."""
    scored = _SCORE.match(entry)
    if scored is None:
        return 0, entry
    try:
        score = float(scored[1])
    except ValueError:  # nothing of ours
        score = 0.0
    return within(score, -MOST_PRIORITY, MOST_PRIORITY, 0), entry[scored.end() :]


def length_when_cut(entry: bytes) -> tuple[int, bytes] | None:
    """The length of an entry that was too long, and its beginning; None for one that is whole."""
    cut = _CUT.match(entry)
    return (int(cut[1]), entry[cut.end() :]) if cut else None


def _by_queue(found: list[Found]) -> list[tuple[Any, ...]]:
    """Links by the queue that they go to: one by one they cost Redis a tenth more."""
    queues: dict[tuple[str, str, bool], tuple[list[str | bool], list[bytes]]] = {}
    for link in found:
        queue = link.host, str(link.priority), link.continues
        fingerprints, elements = queues.get(queue) or queues.setdefault(queue, ([], []))
        fingerprints.append(link.fingerprint is not None and str(link.fingerprint))
        elements.append(b"0 " + link.payload)
    return [(*queue, *links) for queue, links in queues.items()]
