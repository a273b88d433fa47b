"""What `make crawl` shows: a live view in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from crawlers.frontier import Status

_LINE_EVERY_S = 3.0
_RATE_OVER_S = 2.0
_COLUMNS = 4
_COLUMN_WIDTHS = (16, 60)
_FILE_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A crawl at one moment; `documents` in MongoDB by collection."""

    elapsed_s: float
    status: Status
    documents: dict[str, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a worker ended; `reason` is the spider's finish reason, `status` the exit status."""

    name: str
    pages: int
    items: int
    errors: int
    reason: str
    status: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A collection, how many documents it has, and a few of them."""

    collection: str
    count: int
    documents: Sequence[dict[str, object]]


class View:
    """The crawl on screen, live while it is entered as a context."""

    def __init__(self, title: str, subtitle: str, console: Console | None = None) -> None:
        self._console = console or Console(width=None if sys.stdout.isatty() else _FILE_WIDTH)
        self._title = title
        self._subtitle = subtitle
        self._recent: deque[Snapshot] = deque()
        self._live = Live(console=self._console, auto_refresh=False)
        self._next_line_s = 0.0

    def __enter__(self) -> View:
        self._console.print(f"[bold]{self._title}[/], {self._subtitle}")
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Bring the view up to date."""
        self._recent.append(snapshot)
        while snapshot.elapsed_s - self._recent[0].elapsed_s > _RATE_OVER_S:
            self._recent.popleft()
        if self._console.is_terminal:
            self._live.update(self._panel(snapshot), refresh=True)
        elif snapshot.elapsed_s >= self._next_line_s:
            self._next_line_s = snapshot.elapsed_s + _LINE_EVERY_S
            self._console.print(self._line(snapshot), soft_wrap=True)

    def say(self, sentence: str) -> None:
        """Print a sentence above the live view."""
        self._console.print(sentence)

    def results(self, samples: Sequence[Sample], database: str) -> None:
        """What landed in MongoDB."""
        filled = [sample for sample in samples if sample.documents]
        for sample in filled:
            names = _telling(sample.documents[0])
            title = f"{database}.{sample.collection}: {sample.count:,} documents, such as"
            table = Table(*names, title=title, title_justify="left")
            for column in table.columns:
                column.min_width, column.max_width = _COLUMN_WIDTHS
                column.no_wrap = True
            for document in sample.documents:
                table.add_row(*(_cell(document.get(name)) for name in names))
            self._console.print(table)
        if not filled:
            self._console.print(f"MongoDB's database {database} holds no documents.")

    def outcomes(self, outcomes: Sequence[Outcome], elapsed_s: float) -> None:
        """How each worker ended."""
        table = Table("worker", title=f"{elapsed_s:.1f} seconds", title_justify="left")
        for name in ("pages", "items", "errors"):
            table.add_column(name, justify="right")
        table.add_column("finish reason")
        table.add_column("exit status", justify="right")
        for end in outcomes:
            numbers = (f"{number:,}" for number in (end.pages, end.items, end.errors))
            table.add_row(end.name, *numbers, end.reason, str(end.status))
        self._console.print(table)

    def failure(self, name: str, log: Path, last_lines: Sequence[str]) -> None:
        """Why a worker failed, as far as its log tells."""
        self._console.print(f"[bold red]{name} failed.[/] The end of {log}:")
        for line in last_lines:
            self._console.print(f"  {line}", markup=False, highlight=False)

    def _pages_per_s(self) -> float:
        first, last = self._recent[0], self._recent[-1]
        elapsed_s = last.elapsed_s - first.elapsed_s
        return (last.status.done - first.status.done) / elapsed_s if elapsed_s > 0 else 0.0

    def _figures(self, snapshot: Snapshot) -> dict[str, str]:
        status = snapshot.status
        return {
            "pages done": f"{status.done:,}",
            "queued": f"{status.queued:,}",
            "leased": f"{status.leased:,}",
            "dead": f"{status.dead:,}",
            "documents": f"{sum(snapshot.documents.values()):,}",
            "pages/s": f"{self._pages_per_s():,.0f}",
        }

    def _line(self, snapshot: Snapshot) -> str:
        figures = ", ".join(f"{name} {value}" for name, value in self._figures(snapshot).items())
        return f"{snapshot.elapsed_s:5.1f} s  {figures}, workers {len(snapshot.status.workers)}"

    def _panel(self, snapshot: Snapshot) -> Panel:
        status = snapshot.status
        figures = Table.grid(padding=(0, 3))
        values = self._figures(snapshot)
        figures.add_row(*(Text(value, style="bold cyan") for value in values.values()))
        figures.add_row(*(Text(name, style="dim") for name in values))
        workers = Table("worker", box=None, header_style="dim", padding=(0, 3, 0, 0))
        workers.add_column("done", justify="right")
        workers.add_column("leased", justify="right")
        for worker in sorted(status.workers, key=lambda worker: worker.name):
            workers.add_row(worker.name, f"{worker.done:,}", f"{worker.leased:,}")
        bar = Table.grid(expand=True)
        bar.add_row(ProgressBar(total=max(status.enqueued, 1), completed=status.done + status.dead))
        title = f"{snapshot.elapsed_s:.0f} s"
        return Panel(Group(figures, bar, workers), title=title, title_align="left")


def _telling(document: Mapping[str, object]) -> list[str]:
    """The names of a few fields that hold text or lists of it."""
    telling = (name for name, value in document.items() if isinstance(value, str | list))
    return [name for name in telling if not name.startswith("_")][:_COLUMNS]


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return " ".join(str(value).split())
