"""What sharing costs: this project on its frontier against itself with queue and seen set in memory.

python -m benchmarks.sharing_tax [--pages 3000] [--rounds 7] [--instructions]

The same spider, settings, pipelines, early drop and Links; only the scheduler differs. So the tax is all that
leases, completion, turns and Redis cost a worker. `--instructions` counts them with valgrind besides, in slow
motion, so that as many pages share an exchange as without.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.progress import track
from rich.table import Table

from benchmarks.contenders import OURS, OURS_IN_BULK, PROJECT, Contender, Settings
from benchmarks.cpu_per_page import START_UP_PAGES, Cost, crawler, measure
from benchmarks.graph_crawl import bench, graph
from benchmarks.harness import report, run, spread
from benchmarks.instructions import measure as count
from benchmarks.slow_motion import in_slow_motion

NAME = "sharing_tax"
FEW, MANY = 100, 500
_ALONE: Settings = {
    "SCHEDULER": "benchmarks.in_memory.MemoryScheduler",
    "DOWNLOADER": "scrapy.core.downloader.Downloader",
    "FRONTIER_DROP_EARLY": True,
}

PAIRS = (
    (OURS, Contender("in memory", PROJECT, _ALONE)),
    (OURS_IN_BULK, Contender("in memory, Links", PROJECT, _ALONE, spider="bulk")),
)
"""Who shares, and the same by itself."""

CONTENDERS = [contender for pair in PAIRS for contender in pair]


def tax(costs: Mapping[Contender, Sequence[float]], pair: tuple[Contender, Contender]) -> float:
    """What the one costs more than the other, as a share of the other: the median of the rounds, each of
    which shares the noise of the machine.
    """
    shared, alone = pair
    return statistics.median(a / b for a, b in zip(costs[shared], costs[alone], strict=True)) - 1


def crawl_all(pages: int, rounds: int) -> dict[Contender, list[Cost]]:
    """The CPU of each, in turn."""
    costs: dict[Contender, list[Cost]] = {contender: [] for contender in CONTENDERS}
    with bench() as at, graph(START_UP_PAGES) as few, graph(pages) as many:
        for _ in track(range(rounds), "Rounds"):
            for contender, measured in costs.items():
                measured.append(measure(crawler(contender, at), few, many, pages))
    return costs


def count_all() -> dict[Contender, list[float]]:
    """The instructions for a page of each."""
    slowed = {in_slow_motion(contender): contender for contender in CONTENDERS}
    return {slowed[slow]: [number] for slow, number in count(list(slowed), FEW, MANY).items()}


def table(costs: Mapping[Contender, Sequence[Cost]], counts: Mapping[Contender, Sequence[float]]) -> Table:
    """A line for each, the tax with those that share."""
    shown = Table(title="The sharing tax: CPU of a worker for a page, with and without a frontier to share")
    shown.add_column("this project")
    for heading in ("ms / page", "tax", "million instructions / page", "tax"):
        shown.add_column(heading, justify="right")
    times, taxes = milliseconds(costs), {pair[0]: pair for pair in PAIRS}
    for contender in costs:
        pair = taxes.get(contender)
        cells = [
            spread(times[contender], digits=2),
            f"{tax(times, pair):+.1%}" if pair else "",
        ]
        if counts:
            cells += [f"{counts[contender][0] / 1e6:.2f}", f"{tax(counts, pair):+.1%}" if pair else ""]
        shown.add_row(contender.name, *cells)
    return shown


def milliseconds(costs: Mapping[Contender, Sequence[Cost]]) -> dict[Contender, list[float]]:
    """Of the worker for a page, of each round."""
    return {contender: [cost.worker_ms for cost in rounds] for contender, rounds in costs.items()}


def main() -> None:
    """Measure both ways to crawl, with and without sharing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing_tax", description=__doc__)
    parser.add_argument("--pages", type=int, default=3000, help="pages of a crawl")
    parser.add_argument("--rounds", type=int, default=7, help="crawls of each kind")
    parser.add_argument("--instructions", action="store_true", help="count instructions too, by valgrind")
    options = parser.parse_args()
    costs = crawl_all(options.pages, options.rounds)
    counts = count_all() if options.instructions else {}
    figures = {
        pair[0].name: {
            "tax": tax(milliseconds(costs), pair),
            "tax_in_instructions": tax(counts, pair) if counts else None,
            "shared": [asdict(cost) for cost in costs[pair[0]]],
            "alone": [asdict(cost) for cost in costs[pair[1]]],
        }
        for pair in PAIRS
    }
    report(NAME, [table(costs, counts)], {"pages": options.pages, **figures})


if __name__ == "__main__":
    run(main)
