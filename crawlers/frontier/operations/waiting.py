"""What keeps a crawl from going on, and from ending: for its workers' logs and for operators."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from .crawl import Crawl
from .records import parse_manners

_AT_ONCE_US = 1_000_000  # who may be asked within this is about to be
_SOON_MS = 10_000  # a delay within this is as it should be
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that a crawl waits for. `kind`: paused, hosts, mongodb, leased, busy or workers; what is
    `said` of it; `pages` that wait for it, and until when, in ms since 1970, None where that isn't known.
    """

    kind: str
    said: str
    pages: int
    until_ms: int | None = None


async def waiting_for(crawl: Crawl) -> list[Waiting]:
    """What `crawl` waits for; nothing where it goes on, or has finished."""
    meta = await crawl.meta()
    if meta.get("finished"):
        return []
    queued, out, leased = (meta.get(name, 0) for name in ("queued", "out", "leased"))
    found = []
    if meta.get("paused"):
        found.append(Waiting("paused", "an operator: it is paused, see `scrapy frontier resume`", queued))
    elif queued:
        found += await _hosts(crawl, queued)
    if number := await crawl.client.zcard(f"{crawl.base}:wanted"):
        said = f"MongoDB: {number:,} chunks of queues are to come back from there, is it away?"
        found.append(Waiting("mongodb", said, out))
    alive = await crawl.alive()
    if not alive:
        found.append(Waiting("workers", "a worker: none is alive", queued + leased))
    elif leased:
        found.append(Waiting("leased", f"pages under way, of {len(alive):,} workers", leased))
    elif not queued and not meta.get("sealed"):
        found += await _busy(crawl)
    return found


async def _hosts(crawl: Crawl, queued: int) -> list[Waiting]:
    """Hosts that may not be asked yet. Where one may be, somebody will."""
    ready = f"{crawl.base}:ready"
    if await crawl.client.zcard(f"{crawl.base}:urgent"):
        return []
    first: list[Any] = await crawl.client.zrange(ready, 0, 0, withscores=True)
    now_us, number = await crawl.now_us(), await crawl.client.zcard(ready)
    if not first or first[0][1] < now_us + _AT_ONCE_US:
        return []
    name, until_ms = first[0][0].decode(errors="replace"), int(first[0][1]) // 1000
    manners = parse_manners(await cast(Any, crawl.client.get(f"{crawl.tag}:manners:{name}")))
    asleep = manners.wake_us > now_us
    if not asleep and until_ms < now_us // 1000 + _SOON_MS:
        return []
    why = manners.why if asleep else "that is its delay"
    others = f", and {number - 1:,} other hosts later" if number > 1 else ""
    said = f"{name}, which may be asked again at {_moment(until_ms)} UTC ({why}){others}"
    return [Waiting("hosts", said, queued, until_ms)]


async def _busy(crawl: Crawl) -> list[Waiting]:
    """Workers that may still bring work keep a crawl with nothing to do from ending."""
    names: Iterable[Any] = await cast(Any, crawl.client.sscan(f"{crawl.tag}:busy", 0, count=100))
    busy = sorted(name.decode(errors="replace") for name in list(names)[1])
    if not busy:
        return []
    shown = ", ".join(busy[:_MOST_NAMED]) + (", …" if len(busy) > _MOST_NAMED else "")
    said = f"workers that may bring work, by their start() or their lists of start URLs: {shown}"
    return [Waiting("busy", said, 0)]


def _moment(ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ms / 1000))
