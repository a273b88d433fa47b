"""A crawl from a file that `export` wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from redis.exceptions import RedisError

from . import lines
from .crawl import BadRequest, Crawl, Letter, Queued
from .lines import BadLine, Begins, Ends
from .restoring import Restored, Restorer

_MOST_CHARACTERS = 4_000_000  # of a line


@dataclass(slots=True)
class Imported:
    """How it went: `rejected` lines stand in the file `aside`, each behind its number and what is wrong."""

    restored: Restored = field(default_factory=Restored)
    rejected: int = 0
    aside: Path | None = None


def first_line(file: Path) -> Begins:
    """What an export says of itself. Raises :class:`BadRequest` for anything that is no whole export."""
    try:
        with file.open("rb") as read:
            begins = lines.read(read.readline(_MOST_CHARACTERS).decode("utf-8", "replace"))
            read.seek(max(0, file.stat().st_size - 4096), os.SEEK_SET)
            last = read.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise BadRequest(f"{file} can't be read: {error.strerror}") from None
    except BadLine as error:
        raise BadRequest(f"{file} is no export of a crawl: {error}") from None
    if not isinstance(begins, Begins):
        raise BadRequest(f"{file} is no export of a crawl: its first line is of another kind")
    try:
        whole = isinstance(lines.read(last[-1]), Ends)
    except (BadLine, IndexError):
        whole = False
    if not whole:
        raise BadRequest(f"{file} was cut short: its last line is missing, and nothing was imported")
    return begins


async def import_from(crawl: Crawl, file: Path) -> Imported:
    """Puts what `file` holds into `crawl`, beside what is there. Bad lines are set aside and counted.

    Raises :class:`BadRequest` for a file that is no whole export, before anything has changed, and where
    Redis fails: then it says how much is there.
    """
    begins, there = first_line(file), await crawl.meta()
    if begins.seen_small and there.get("seen") and not there.get("seen_small"):
        raise BadRequest(
            f"{file} holds URLs in the small form, {crawl.name} the exact one: import it under another name"
        )
    restorer = Restorer(crawl, begins.run, begins.scrapy_redis == 1, begins.seen_small == 1)
    imported = Imported()
    imported.restored = restorer.restored
    try:
        await _read_all(file, restorer, imported)
        await restorer.count(begins.done, begins.dropped)
    except RedisError as error:
        so_far = f"{imported.restored.queued:,} requests, {imported.restored.dead:,} dead letters"
        raise BadRequest(f"Redis failed when {so_far} had been imported, clear it first: {error}") from None
    return imported


async def _read_all(file: Path, restorer: Restorer, imported: Imported) -> None:
    with ExitStack() as stack:
        source = stack.enter_context(file.open(encoding="utf-8", errors="replace", newline="\n"))
        for number, line in _numbered(source):
            try:
                await _take(restorer, lines.read(line))
            except BadLine as error:
                if imported.aside is None:
                    imported.aside = file.with_name(f"{file.name}.rejected")
                    aside = stack.enter_context(imported.aside.open("w", encoding="utf-8"))
                aside.write(f"{number}\t{error}\t{line.rstrip()[:_MOST_CHARACTERS]}\n")
                imported.rejected += 1


def _numbered(source: TextIO) -> Iterator[tuple[int, str]]:
    number = 0
    while line := source.readline(_MOST_CHARACTERS):
        number += 1
        yield number, line


async def _take(restorer: Restorer, entry: Begins | Queued | Letter | list[int] | Ends) -> None:
    if isinstance(entry, Letter):
        await restorer.bury(entry)
    elif isinstance(entry, Queued):
        await restorer.queue(entry)
    elif isinstance(entry, list):
        await restorer.see(entry)
