"""A crawl into a file, from which it can go on elsewhere exactly as it was."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from . import lines
from .crawl import MOST, BadRequest, Crawl, Queued, parse_element
from .finding import short_of
from .lines import Ends
from .queues import from_head


async def export(crawl: Crawl, file: Path) -> Ends:
    """Writes `crawl` to `file`, which is there only when it is complete. Leased requests count as queued.

    Raises :class:`BadRequest` for a crawl that moves: a page that ends meanwhile would be missing together
    with its links.
    """
    before = await crawl.meta()
    if not before.get("paused") and await crawl.alive():
        raise BadRequest("workers are at this crawl: pause it first, or stop them, and export it then")
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("w", encoding="utf-8") as out:
            written = await _write(crawl, before, out)
        if _without_moves(await crawl.meta()) != _without_moves(before):
            raise BadRequest(
                "pages under way have ended during the export: wait until none is leased, and export again"
            )
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return written


def _without_moves(meta: dict[str, int]) -> dict[str, int]:
    """What is moved to MongoDB or back stays where it is in its queue."""
    return {name: value for name, value in meta.items() if name not in {"out", "chunks"}}


async def _write(crawl: Crawl, meta: dict[str, int], out: TextIO) -> Ends:
    figures = {name: meta.get(name, 0) for name in ("run", "done", "dropped", "scrapy_redis", "seen_small")}
    out.write(lines.written("crawl", version=lines.VERSION, name=crawl.name, **figures))
    queued = await _write_queued(crawl, out)
    dead = 0
    async for some in crawl.letters():
        out.writelines(map(lines.written_request, some))
        dead += len(some)
    seen = await _write_seen(crawl, bool(figures["seen_small"]), out)
    out.write(lines.written("end", queued=queued, dead=dead, seen=seen))
    return Ends(queued, dead, seen)


async def _write_queued(crawl: Crawl, out: TextIO) -> int:
    """What is leased first, for it was at the front; then each queue from its head."""
    number = 0
    async for lease in crawl.leases():
        out.write(lines.written_request(lease))
        number += 1
    async for hosts in crawl.hosts():
        for host in hosts:
            for priority in await crawl.priorities(host):
                number += await _write_queue(crawl, host, priority, out)
    return number


async def _write_queue(crawl: Crawl, host: str, priority: int, out: TextIO) -> int:
    number = 0
    async for some in from_head(crawl, host, priority):
        requests = (Queued(host, priority, *parse_element(element)) for element in some)
        out.writelines(map(lines.written_request, requests))
        number += len(some)
    return number


async def _write_seen(crawl: Crawl, small: bool, out: TextIO) -> int:
    number = 0
    waiting: list[int] = []
    for bucket in {bucket async for bucket in crawl.names("seen:")}:
        async for member in crawl.client.sscan_iter(f"{crawl.base}:seen:{bucket}", count=MOST):
            waiting.append(short_of(int(member), int(bucket)) if small else int(member))
        while len(waiting) >= MOST:
            number += _write_some(waiting, out)
    while waiting:
        number += _write_some(waiting, out)
    return number


def _write_some(waiting: list[int], out: TextIO) -> int:
    some, waiting[:] = waiting[:MOST], waiting[MOST:]
    out.write(lines.written("seen", fingerprints=some))
    return len(some)
