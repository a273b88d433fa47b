"""Instructions that a worker executes for a page, counted by valgrind: in memory, stock, this project.

python -m benchmarks.instructions [--few 250] [--many 750]

A busy machine doesn't change them. They are not time: a wait for memory is none, a system call is one.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.progress import track
from rich.table import Table

from benchmarks.contenders import (
    MEMORY_WITH_OUR_SETTINGS,
    OURS,
    OURS_IN_BULK,
    STOCK_WITH_OUR_SETTINGS,
    Contender,
)
from benchmarks.graph_crawl import bench, graph
from benchmarks.harness import BenchmarkError, Exit, Worker, report, run

NAME = "instructions"
CONTENDERS = (MEMORY_WITH_OUR_SETTINGS, STOCK_WITH_OUR_SETTINGS, OURS, OURS_IN_BULK)
TIMES_SLOWER = 40
"""At most, under valgrind."""

_TOTAL = re.compile(r"I\s+refs:\s+([\d,]+)")


class CountedWorker(Worker):
    """A worker under valgrind. Its hashes are the same in each run, and so is the order of its sets."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        super().__init__(arguments, {**environ, "PYTHONHASHSEED": "0"}, log)
        valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        self.command = [*valgrind, *self.command]

    def finish(self, timeout_s: float) -> Exit:
        """Wait for its end, which takes longer."""
        return super().finish(timeout_s * TIMES_SLOWER)

    def instructions(self) -> int:
        """How many it executed from start to end."""
        total = _TOTAL.search(self.output())
        if total is None:
            raise BenchmarkError(f"valgrind did not say what it counted. {self.complaint()}")
        return int(total[1].replace(",", ""))


def measure(few: int, many: int) -> dict[Contender, float]:
    """Instructions for a page of each contender: those of a crawl of `many` pages less one of `few`."""
    hired: list[CountedWorker] = []

    def hire(arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> CountedWorker:
        hired.append(CountedWorker(arguments, environ, log))
        return hired[-1]

    counts = {}
    with bench(hire) as at, graph(few) as small, graph(many) as large:
        for contender in track(CONTENDERS, "Contenders"):
            at.crawl(contender, small, few)
            at.crawl(contender, large, many)
            less, more = (worker.instructions() for worker in hired[-2:])
            counts[contender] = (more - less) / (many - few)
    return counts


def table(counts: Mapping[Contender, float]) -> Table:
    """The counts, and what each is of the first."""
    shown = Table(title="Instructions of a worker for a page, with this project's settings")
    for heading in ("scheduler", "million a page", "share"):
        shown.add_column(heading, justify="left" if heading == "scheduler" else "right")
    for contender, count in counts.items():
        shown.add_row(contender.name, f"{count / 1e6:.2f}", f"{count / counts[CONTENDERS[0]]:.2f}")
    return shown


def main() -> None:
    """Count all contenders in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--few", type=int, default=250, help="pages of the crawl that is subtracted")
    parser.add_argument("--many", type=int, default=750, help="pages of the other")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise BenchmarkError("There is no valgrind on this machine: apt-get install valgrind.")
    if not 0 < options.few < options.many:
        raise BenchmarkError("--few must be at least 1, and --many more.")
    counts = measure(options.few, options.many)
    first = counts[CONTENDERS[0]]
    report(
        NAME,
        [table(counts)],
        {
            "few": options.few,
            "many": options.many,
            "instructions_a_page": {each.name: round(count) for each, count in counts.items()},
            "share": {each.name: count / first for each, count in counts.items()},
        },
    )


if __name__ == "__main__":
    run(main)
