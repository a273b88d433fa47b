"""Instructions that a worker executes for a page, counted by valgrind: in memory, stock, this project.

python -m benchmarks.instructions [--few 250] [--many 750]

A busy machine doesn't change them. They are not time: a wait for memory is none, a system call is one.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from compileall import compile_dir
from contextlib import ExitStack
from pathlib import Path

from rich.progress import track
from rich.table import Table

from benchmarks.contenders import Contender
from benchmarks.cpu_per_page import AS_SHIPPED, SAME_SETTINGS
from benchmarks.graph_crawl import Bench, bench, graph
from benchmarks.harness import ROOT, BenchmarkError, Worker, report, run
from deploy.local.practice_site import PracticeSite

NAME = "instructions"
MOST_S = 1800
"""What a crawl may take; under valgrind it is some 40 times slower."""

Counts = Mapping[Contender, float]
"""Instructions a page."""

_TOTAL = re.compile(r"I\s+refs:\s+([\d,]+)")


class CountedWorker(Worker):
    """A worker under valgrind. Its hashes are the same in each run, and so is the order of its sets."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        super().__init__(arguments, {**environ, "PYTHONHASHSEED": "0"}, log)
        valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        self.command = [*valgrind, *self.command]


def measure(contenders: Sequence[Contender], few: int, many: int) -> Counts:
    """Instructions for a page of each contender: those of a crawl of `many` pages less one of `few`.

    Both crawl at the same time, each with servers of its own: there are two cores, and counts don't mind.
    """
    if not shutil.which("valgrind"):
        raise BenchmarkError("There is no valgrind on this machine: apt-get install valgrind.")
    for code in ("crawlers", "benchmarks"):  # otherwise the first crawl would, and be the dearer for it
        compile_dir(ROOT / code, quiet=1)
    counts = {}
    with ExitStack() as stack:
        benches = [stack.enter_context(bench(CountedWorker)) for _ in (few, many)]
        sites = [stack.enter_context(graph(pages)) for pages in (few, many)]
        for contender in track(contenders, "Contenders"):
            less, more = _count_both(contender, zip(benches, sites, (few, many), strict=True))
            counts[contender] = (more - less) / (many - few)
    return counts


def _count_both(contender: Contender, crawls: Iterable[tuple[Bench, PracticeSite, int]]) -> list[int]:
    with ExitStack() as stack:
        begun = [stack.enter_context(at.crawling(contender, site, pages)) for at, site, pages in crawls]
        for worker in begun:
            worker.finish(MOST_S)
        return [_instructions(worker) for worker in begun]


def _instructions(worker: Worker) -> int:
    """How many it executed from start to end."""
    total = _TOTAL.search(worker.output())
    if total is None:
        raise BenchmarkError(f"valgrind did not say what it counted. {worker.complaint()}")
    return int(total[1].replace(",", ""))


def table(title: str, contenders: Sequence[Contender], counts: Counts) -> Table:
    """The counts, and what each is of the first."""
    shown = Table(title=title)
    for heading in ("scheduler", "million a page", "share"):
        shown.add_column(heading, justify="left" if heading == "scheduler" else "right")
    for contender in contenders:
        count = counts[contender]
        shown.add_row(contender.name, f"{count / 1e6:.2f}", f"{count / counts[contenders[0]]:.3f}")
    return shown


def figures(contenders: Sequence[Contender], counts: Counts) -> dict[str, object]:
    """The same as plain data."""
    return {
        each.name: {"instructions_a_page": round(counts[each]), "share": counts[each] / counts[contenders[0]]}
        for each in contenders
    }


def main() -> None:
    """Count all contenders in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--few", type=int, default=250, help="pages of the crawl that is subtracted")
    parser.add_argument("--many", type=int, default=750, help="pages of the other")
    options = parser.parse_args()
    if not 0 < options.few < options.many:
        raise BenchmarkError("--few must be at least 1, and --many more.")
    counts = measure(list(dict.fromkeys(AS_SHIPPED + SAME_SETTINGS)), options.few, options.many)
    report(
        NAME,
        [
            table("Instructions of a worker for a page, each as it ships", AS_SHIPPED, counts),
            table("... each with this project's settings", SAME_SETTINGS, counts),
        ],
        {
            "few": options.few,
            "many": options.many,
            "as_shipped": figures(AS_SHIPPED, counts),
            "same_settings": figures(SAME_SETTINGS, counts),
        },
    )


if __name__ == "__main__":
    run(main)
