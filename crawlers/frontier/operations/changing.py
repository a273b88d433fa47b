"""What an operator does to a crawl: pause, seal, clear, drop, retry. Workers may run meanwhile."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from crawlers.frontier import keys
from crawlers.frontier.client import Frontier
from crawlers.frontier.codec import decode
from crawlers.frontier.deep import Deep, Wanted
from crawlers.frontier.exceptions import BadPayload
from crawlers.frontier.scripts import Script

from .crawl import MOST, Crawl, Letter, is_at, match, parse_element, step_after, url_of
from .queues import Chunk, chunks_of, elements, elements_of

_SEAL, _CLEAR, _DROP, _DROP_OF_CHUNK, _RETRY, _RETRY_OUT, _FORGET = (
    Script(f"operations/{name}")
    for name in ("seal", "clear", "drop", "drop_of_chunk", "retry", "retry_out", "forget")
)
_FIRST, _MOST_PASSED = 50, 400  # elements of a queue looked at in one step
_MOST_WORKERS = 20  # fenced in one step, each with some 64 leases
_MOST_LETTERS = 100  # retried in one step


async def pause(crawl: Crawl) -> bool:
    """No request is leased from now on; pages under way end. False if it was paused already."""
    return bool(await crawl.client.hset(keys.meta(crawl.name), "paused", 1))


async def resume(crawl: Crawl) -> bool:
    """Ends a pause. False if there was none."""
    return bool(await crawl.client.hdel(keys.meta(crawl.name), "paused"))


async def seal(crawl: Crawl) -> bool:
    """Takes no more links and start URLs. True if nothing is left, so that the crawl has ended."""
    return bool(await crawl.run(_SEAL, {}) == 1)


async def clear(crawl: Crawl) -> None:
    """Gives up all that is queued, seen, leased and dead, fences the workers and frees the memory, that of
    every robots.txt too.

    Start URLs that wait in lists stay there; those that were claimed are given up too.
    """
    while await crawl.run(_CLEAR, {"most": _MOST_WORKERS}):
        pass
    for kind in ("claims", "claimed"):
        async for key in crawl.client.scan_iter(f"{{*}}*:{kind}:{match(crawl.name)}", count=MOST):
            await crawl.client.unlink(key)
    await _forget_sites(crawl)
    await Frontier(crawl.client, crawl.name).purge()
    async for name in crawl.names():  # of the generation given up: what purge doesn't know
        await crawl.client.unlink(f"{crawl.base}:{name}")


async def _forget_sites(crawl: Crawl) -> None:
    """Every robots.txt, and of hosts what says only until when theirs is known. What is owed to a host, its
    delay, its sleep and its failures, stays for as long as it matters: a site sees one visitor.
    """
    prefix = match(keys.meta(crawl.name).removesuffix("meta"))
    async for key in crawl.client.scan_iter(f"{prefix}robots*", count=MOST):
        await crawl.client.unlink(key)
    some: list[bytes] = []
    async for key in crawl.client.scan_iter(f"{prefix}manners:*", count=MOST, _type="string"):
        some.append(key)
        if len(some) == MOST:
            await _forget_well(crawl, some)
            some = []
    await _forget_well(crawl, some)


async def _forget_well(crawl: Crawl, some: list[bytes]) -> None:
    """Of `some` hosts, those of which nothing else is known than until when their robots.txt is."""
    records = await crawl.client.mget(some) if some else []
    if well := [key for key, record in zip(some, records, strict=True) if record and record.isdigit()]:
        await crawl.client.unlink(*well)


async def matching(crawl: Crawl, pattern: re.Pattern[str]) -> int:
    """How many queued requests have a URL in which `pattern` is found."""
    number = 0
    async for host, priority in _queues(crawl):
        async for _, some in elements(crawl, host, priority):
            number += sum(_is_hit(element, pattern) for element in some)
    return number


async def drop(crawl: Crawl, pattern: re.Pattern[str]) -> int:
    """Puts the queued requests in whose URL `pattern` is found among the dead letters; returns how many.

    From the end of each queue to its head, for that is the way that requests go. A chunk of which some are
    dropped is in Redis afterwards.
    """
    dropped = 0
    async for host, priority in _queues(crawl):
        if await _has_hit(crawl, host, priority, pattern):
            dropped += await _drop_from(crawl, "tail", host, priority, pattern)
            for chunk in reversed(await chunks_of(crawl, host, priority)):
                dropped += await _drop_of_chunk(crawl, chunk, host, pattern)
            dropped += await _drop_from(crawl, "requests", host, priority, pattern)
    return dropped


async def _drop_of_chunk(crawl: Crawl, chunk: Chunk, host: str, pattern: re.Pattern[str]) -> int:
    held = [element async for some in elements_of(crawl, chunk) for element in some]
    hits = [place for place, element in enumerate(held, 1) if _is_hit(element, pattern)]
    if not hits:
        return 0
    if chunk.state == "out":
        await _bring_back(crawl, chunk, host, held)
    values = {"id": chunk.id, "places": hits, "reason": f"dropped by operator: {pattern.pattern}"}
    return int(await crawl.run(_DROP_OF_CHUNK, values))


async def _bring_back(crawl: Crawl, chunk: Chunk, host: str, held: list[bytes]) -> None:
    deep = Deep(crawl.client, crawl.name, "operator")
    wanted, there = Wanted(chunk.id, chunk.name, chunk.length, 0, host), 0
    while there < chunk.length:
        step = step_after(held[there : there + _FIRST])
        there = await deep.fetched(wanted, there, held[there : there + step])


async def _queues(crawl: Crawl) -> AsyncIterator[tuple[str, int]]:
    async for some in crawl.hosts():
        for host in some:
            for priority in await crawl.priorities(host):
                yield host, priority


def _is_hit(element: bytes, pattern: re.Pattern[str]) -> bool:
    return pattern.search(url_of(parse_element(element)[1])) is not None


async def _has_hit(crawl: Crawl, host: str, priority: int, pattern: re.Pattern[str]) -> bool:
    async for _, some in elements(crawl, host, priority):
        if any(_is_hit(element, pattern) for element in some):
            return True
    return False


async def _drop_from(crawl: Crawl, kind: str, host: str, priority: int, pattern: re.Pattern[str]) -> int:
    """Goes through a whole list once. What workers lease meanwhile is gone from its head."""
    key = f"{crawl.base}:{kind}:{host}:{priority}"
    left, dropped, number = await crawl.client.llen(key), 0, _FIRST
    while left > 0 and (some := await cast(Any, crawl.client.lrange(key, 0, min(number, left) - 1))):
        hits = [_is_hit(element, pattern) for element in some]
        passed, buried = await crawl.run(
            _DROP,
            {
                "list": kind,
                "host": host,
                "priority": priority,
                "drop": [element for element, hit in zip(some, hits, strict=True) if hit],
                "keep": [element for element, hit in zip(some, hits, strict=True) if not hit],
                "reason": f"dropped by operator: {pattern.pattern}",
            },
        )
        dropped += buried
        left -= passed
        number = min(step_after(some), _MOST_PASSED)
    return dropped


async def retry_dead(crawl: Crawl, reason: str = "") -> tuple[int, int]:
    """Queues the dead letters again whose reason holds `reason`: how many, and how many can't be.

    Those can't that never were a request in a queue, but a bad start URL or a request that couldn't be
    written into one.
    """
    retried = skipped = 0
    began_ms = await crawl.now_us() // 1000  # what dies again meanwhile isn't tried for ever
    async for some in crawl.letters_here():
        chosen = [letter for letter in some if reason in letter.reason and letter.when_ms <= began_ms]
        ids = [letter.id for letter in chosen if is_request(letter)]
        skipped += len(chosen) - len(ids)
        for first in range(0, len(ids), _MOST_LETTERS):
            retried += await crawl.run(_RETRY, {"letters": ids[first : first + _MOST_LETTERS]})
    async for some in crawl.letters_out():
        chosen = [letter for letter in some if reason in letter.reason and letter.when_ms <= began_ms]
        good = [letter for letter in chosen if is_request(letter)]
        skipped += len(chosen) - len(good)
        retried += await _retry_out(crawl, good)
    return retried, skipped


async def _retry_out(crawl: Crawl, letters: list[Letter]) -> int:
    """Those of MongoDB: queued first, then deleted there, so that none is lost; none is queued twice."""
    assert crawl.store is not None
    ids = [letter.id for letter in letters]
    values = [(letter.id, letter.host, letter.priority, letter.payload) for letter in letters]
    retried = int(await crawl.run(_RETRY_OUT, {"letters": values, "forget": []}))
    await crawl.store.letters.delete(await crawl.dead_shelf(), ids)
    await crawl.run(_RETRY_OUT, {"letters": [], "forget": ids})
    return retried


async def forget(crawl: Crawl, fingerprints: Sequence[int]) -> int:
    """Takes up to some hundred `fingerprints` out of the seen set; returns how many were there."""
    return int(await crawl.run(_FORGET, {"seen": [str(fingerprint) for fingerprint in fingerprints]}))


def is_request(letter: Letter) -> bool:
    """Whether it can be queued: it holds a payload, and stands under the host of its URL."""
    try:
        return is_at(letter.host, decode(letter.payload, known_only=False).url)
    except BadPayload:
        return False
