"""Where a URL is: never seen, queued, leased, done or dead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crawlers.frontier.codec import Link, decode
from crawlers.frontier.exceptions import BadPayload

from .asking import Host, describe
from .crawl import Crawl, Leased, Letter, parse_element
from .queues import elements

_HASH_BITS, _SMALL_BITS, _SMALL_MEMBER = 26, 44, 2**32  # as in seen.lua
_HASHES = 1 << _HASH_BITS
_MOST_PREVIEW = 500  # bytes of a URL that a refused request's dead letter shows


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL is. `state`: "never seen", "queued", "leased", "done" or "dead".

    `seen`: its fingerprint is in the seen set. Queued: `host` says when it is due, `ahead` how many requests
    of its host come before it, under `priority`. Leased: `lease` says by whom and since when. Dead: `letter`
    says why and when. `attempts`: how often it failed so far.
    """

    state: str
    seen: bool
    priority: int = 0
    attempts: int = 0
    ahead: int = 0
    host: Host | None = None
    lease: Leased | None = None
    letter: Letter | None = None


class _Sought:
    """What is looked for: a URL, or any that is the same to `same`."""

    def __init__(self, url: str, same: Callable[[Link], bool]) -> None:
        self.url = url
        self._same = same
        self._preview = url.encode()[:_MOST_PREVIEW]

    def is_in(self, payload: bytes) -> bool:
        """Whether `payload` is a request for it, or the preview of one that couldn't be queued."""
        try:
            link = decode(payload, known_only=False)
        except BadPayload:
            return payload == self._preview
        return link.url == self.url or self._same(link)


async def where(
    crawl: Crawl, url: str, host: str, fingerprints: Sequence[int], same: Callable[[Link], bool]
) -> Place:
    """Where `url` is, which is queued under `host` and seen under one of `fingerprints`.

    `same` tells whether a queued link is that URL in another spelling. A request may go back to the queue
    after it was looked for there: where the crawl moved meanwhile, that is looked through again.
    """
    sought, before = _Sought(url, same), await crawl.meta()
    seen = await _was_seen(crawl, fingerprints)
    for look in (_in_queue, _in_leases, _among_dead):
        if place := await look(crawl, sought, host, seen):
            return place
    if await crawl.meta() != before and (place := await _in_queue(crawl, sought, host, seen)):
        return place
    return Place("done" if seen else "never seen", seen)


async def _was_seen(crawl: Crawl, fingerprints: Sequence[int]) -> bool:
    """Looks again where a bucket was split meanwhile: it may have been this one."""
    size, looked = await _buckets(crawl), None
    while size != looked:
        for fingerprint in fingerprints:
            bucket, member = place_of(fingerprint, *size)
            if await crawl.client.sismember(f"{crawl.base}:seen:{bucket}", str(member)):
                return True
        size, looked = await _buckets(crawl), size
    return False


async def _buckets(crawl: Crawl) -> tuple[int, int, int]:
    meta = await crawl.meta()
    return meta.get("seen_level", 0), meta.get("seen_split", 0), meta.get("seen_small", 0)


def place_of(fingerprint: int, level: int, split: int, small: int) -> tuple[int, int]:
    """The bucket of the seen set that holds `fingerprint`, and as what, as `seen.lua` has it."""
    if small:
        short = abs(int(str(fingerprint)[-14:])) % (1 << _SMALL_BITS)
        hashed, member = short >> _SMALL_BITS - _HASH_BITS, short % _SMALL_MEMBER - _SMALL_MEMBER // 2
    else:
        # Rounded as Lua does, for which all numbers are floating.
        hashed, member = int(float(fingerprint) // 2.0 ** (64 - _HASH_BITS)) + _HASHES // 2, fingerprint
    hashed, width = min(hashed, _HASHES - 1), _HASHES >> level
    bucket = hashed - hashed % width
    return (bucket if bucket >= split * width else hashed - hashed % (width // 2)), member


def short_of(member: int, bucket: int) -> int:
    """Of the small form: the bits of a fingerprint that is in `bucket` as `member`; it is as good as that."""
    first = bucket << _SMALL_BITS - _HASH_BITS
    return first - first % _SMALL_MEMBER + member + _SMALL_MEMBER // 2


async def _in_queue(crawl: Crawl, sought: _Sought, host: str, seen: bool) -> Place | None:
    ahead = 0
    for priority in await crawl.priorities(host):
        length = 0
        async for first, some in elements(crawl, host, priority):
            length = max(length, first + len(some))
            for at, element in enumerate(some, first):
                attempts, payload = parse_element(element)
                if sought.is_in(payload):
                    now = next(iter(await describe(crawl, [host])), None)
                    return Place("queued", seen, priority, attempts, ahead + at, now)
        ahead += length
    return None


async def _in_leases(crawl: Crawl, sought: _Sought, host: str, seen: bool) -> Place | None:
    async for lease in crawl.leases():
        if lease.host.partition("|")[0] == host and sought.is_in(lease.payload):
            return Place("leased", seen, lease.priority, lease.attempts, lease=lease)
    return None


async def _among_dead(crawl: Crawl, sought: _Sought, host: str, seen: bool) -> Place | None:
    async for some in crawl.letters(newest_first=True):
        for letter in some:
            at_host = letter.host.partition("|")[0] == host
            if (at_host or not letter.attempts) and sought.is_in(letter.payload):
                return Place("dead", seen, letter.priority, letter.attempts, letter=letter)
    return None
