"""Whether a crawl may go on: what Redis has of it, held against what MongoDB remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymongo.errors import PyMongoError

from crawlers.deep import ChunkStore, Run
from crawlers.frontier.operations import Crawl
from crawlers.frontier.operations.checking import Report
from crawlers.frontier.operations.crawl import UnknownCrawl
from crawlers.mongo import BadMongoSetting
from crawlers.mongo.errors import first_words
from crawlers.scheduler.wiring import has_store

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

    from crawlers.frontier import Client

_ADVICE = "start the crawl again, or restore Redis"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`go_on`, or something was lost; and why, in one sentence. `remembered`: the run in MongoDB, if any."""

    go_on: bool
    said: str
    remembered: Run | None


async def verdict(crawl: Crawl, report: Report, store: ChunkStore, settings: BaseSettings) -> Verdict:
    """Whether `crawl`, of which `report` is the count, may go on."""
    now = Run.of(await crawl.meta())
    remembered, unasked = None, ""
    if has_store(settings):
        async with _asking() as problems:
            remembered = await store.runs.read(crawl.name)
        unasked = f". MongoDB could not be asked what it remembers ({problems[0]})" if problems else ""
    known = remembered if remembered and remembered.run else None
    if lost := remembered and remembered.lost_by(now):
        return Verdict(False, f"lost: {lost}: {_ADVICE}", known)
    if report.gone and not report.moved:
        said = f"lost: the crawl counts {report.gone:,} requests more than there are: {_ADVICE}"
        return Verdict(False, f"{said}, or go on without them after check --repair", known)
    return Verdict(True, f"go on: {_where(now)}{unasked}", known)


def _where(now: Run) -> str:
    if now.finished:
        return "the crawl has finished, and its next worker begins a new run"
    if not now.run:
        return "no worker has joined the crawl yet"
    return f"{now.text}, {now.queued:,} queued, {now.leased:,} leased, {now.dead:,} dead letters"


async def forget(crawl: str, store: ChunkStore, settings: BaseSettings) -> str:
    """MongoDB is to remember nothing of `crawl`, for its operator gave it up. Returns why it still does, if
    so.
    """
    if not has_store(settings):
        return ""
    async with _asking() as problems:
        await store.runs.forget(crawl)
    if not problems:
        return ""
    return f"MongoDB could not be told ({problems[0]}): check may take the run for lost"


async def open_remembered(
    client: Client, name: str | None, store: ChunkStore, settings: BaseSettings
) -> Crawl:
    """The crawl `name`, None for the only one, also where only MongoDB knows it. Raises
    :class:`UnknownCrawl`.
    """
    try:
        return await Crawl.open(client, name, store=store)
    except UnknownCrawl:
        names: list[str] = []
        if has_store(settings):
            async with _asking():
                names = await _names(name, store)
        if len(names) != 1:
            raise
        return await Crawl.open(client, names[0], new=True, store=store)


async def _names(name: str | None, store: ChunkStore) -> list[str]:
    if name is None:
        return await store.runs.unfinished()
    return [name] if (await store.runs.read(name)).run else []


@asynccontextmanager
async def _asking() -> AsyncIterator[list[str]]:
    """Gives a list, in which stands what is wrong where MongoDB fails."""
    problems: list[str] = []
    try:
        yield problems
    except (PyMongoError, BadMongoSetting) as error:
        problems.append(first_words(error))
