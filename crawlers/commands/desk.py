"""What every verb of `scrapy frontier` works with: the crawl, the settings, and how to answer."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.settings import Settings
from scrapy.spiderloader import get_spider_loader
from scrapy.utils.misc import build_from_crawler, load_object

from crawlers.deep import ChunkStore
from crawlers.frontier import Client, printable
from crawlers.frontier.operations import Crawl, first_line
from crawlers.migration import ScrapyRedisFingerprinter
from crawlers.mongo import MongoConfig
from crawlers.options import ensure_all

from .verdict import open_remembered

if TYPE_CHECKING:
    from scrapy.utils.request import RequestFingerprinterProtocol


_OF_LOST = {"check", "clear"}  # verbs that also know a crawl of which Redis has lost everything


class Failed(Exception):
    """What was asked for can't be done; one sentence."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The crawl that was asked for, and the options; `settings` are those of `--spider` where it is given."""

    crawl: Crawl
    store: ChunkStore
    settings: Settings
    opts: argparse.Namespace
    spider: type[Spider]

    @classmethod
    async def open(cls, client: Client, settings: Settings, opts: argparse.Namespace) -> Desk:
        """Finds the crawl. Raises :class:`Failed` and errors of the frontier."""
        spider = _spider(settings, opts.spider) if opts.spider else Spider
        settings = settings.copy()
        spider.update_settings(settings)
        ensure_all(settings)
        imports = opts.verb == "import"
        new = imports or (opts.verb == "add" and opts.crawl is not None)
        name = opts.crawl or (opts.from_scrapy_redis if imports else None)
        if imports and name is None:
            name = first_line(Path(opts.argument)).name
        store = ChunkStore(MongoConfig.of(settings))
        if opts.verb in _OF_LOST:
            crawl = await open_remembered(client, name, store, settings)
        else:
            crawl = await Crawl.open(client, name, new=new, store=store)
        return cls(crawl, store, settings, opts, spider)

    async def fingerprinter(self) -> RequestFingerprinterProtocol:
        """The one with which the crawl's workers tell requests apart."""
        if (await self.crawl.meta()).get("scrapy_redis"):
            return ScrapyRedisFingerprinter()
        made = load_object(self.settings["REQUEST_FINGERPRINTER_CLASS"])
        fingerprinter: RequestFingerprinterProtocol = build_from_crawler(
            made, Crawler(self.spider, self.settings)
        )
        return fingerprinter

    def confirm(self, question: str) -> None:
        """Returns if the operator agrees. Raises :class:`Failed` if not, or where nobody can be asked."""
        if self.opts.yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise Failed(f"{question} There is no terminal to ask on: add --yes")
        print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise Failed("nothing was changed")

    def say(self, sentence: str, **figures: Any) -> None:
        """One sentence; with --json the figures alone."""
        print(json.dumps(figures) if self.opts.json else printable(sentence))

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> None:
        """Rows under headings, those with ">" in front above numbers. `nothing`: what to say without rows."""
        cells = [[printable(str(cell)) for cell in row] for row in rows]
        if not cells:
            print(nothing)
        elif sys.stdout.isatty():
            _rich_table(headings, cells)
        else:
            _plain_table(headings, cells)


def _spider(settings: Settings, name: str) -> type[Spider]:
    try:
        return get_spider_loader(settings).load(name)
    except KeyError:
        raise Failed(f"this project has no spider {name!r}") from None


def _rich_table(headings: Sequence[str], cells: list[list[str]]) -> None:
    table = Table()
    for heading in headings:
        right = heading.startswith(">")
        table.add_column(heading.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)


def _plain_table(headings: Sequence[str], cells: list[list[str]]) -> None:
    rows = [[heading.lstrip(">") for heading in headings], *cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        aligned = (
            cell.rjust(width) if heading.startswith(">") else cell.ljust(width)
            for cell, width, heading in zip(row, widths, headings, strict=True)
        )
        print("  ".join(aligned).rstrip())
