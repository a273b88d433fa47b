"""Throughput of one worker when Redis is further away: ours and stock scrapy-redis.

python -m benchmarks.round_trip [--pages 600] [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence

from rich.progress import track
from rich.table import Table

from benchmarks.contenders import OURS, OURS_IN_BULK, STOCK, Contender
from benchmarks.delay_proxy import delayed
from benchmarks.graph_crawl import bench, graph
from benchmarks.harness import report, run, spread

NAME = "round_trip"
ADDED_MS: Mapping[Contender, Sequence[float]] = {
    STOCK: (0, 4),
    OURS: (0, 1, 4, 20),
    OURS_IN_BULK: (0, 1, 4, 20),
}

Rates = dict[tuple[Contender, float], list[float]]
"""Pages a second by contender and added round trip in ms, one for each round."""


def kept(contender: Contender, added_ms: float, rates: Rates) -> float:
    """What is left of the throughput without a delay: the median of the rounds, each of which shares the
    noise of the machine.
    """
    pairs = zip(rates[contender, added_ms], rates[contender, 0], strict=True)
    return statistics.median(far / near for far, near in pairs)


def table(rates: Rates) -> Table:
    """Medians and ranges over the rounds, and what is kept of a crawl without a delay."""
    shown = Table(title="Pages a second of one worker, by round trip added to Redis")
    shown.add_column("scheduler")
    for heading in ("ms added", "pages/s", "kept"):
        shown.add_column(heading, justify="right")
    for (contender, added_ms), measured in rates.items():
        share = f"{kept(contender, added_ms, rates):.0%}"
        shown.add_row(contender.name, f"{added_ms:g}", spread(measured, digits=0), share)
    return shown


def measure(pages: int, rounds: int) -> Rates:
    """Crawl in turn. The proxy stands in the way without a delay too, so that only that differs."""
    rates: Rates = {(contender, added): [] for contender, all_ms in ADDED_MS.items() for added in all_ms}
    with bench() as at, graph(pages) as site:
        for number in track(range(rounds), "Rounds"):
            for (contender, added_ms), measured in rates.items():
                if contender is STOCK and number:
                    continue  # a crawl at 4 ms takes it more than a minute
                with delayed(at.redis_port, added_ms) as port:
                    measured.append(at.crawl(contender, site, pages, port).pages_per_s)
    return rates


def main() -> None:
    """Measure near to Redis and far from it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.round_trip", description=__doc__)
    parser.add_argument("--pages", type=int, default=600, help="pages of a crawl")
    parser.add_argument("--rounds", type=int, default=9, help="crawls of each kind, but of stock one")
    options = parser.parse_args()
    rates = measure(options.pages, options.rounds)
    figures = {
        contender.name: {
            f"{added_ms:g} ms": {
                "pages_per_s": rates[contender, added_ms],
                "kept": kept(contender, added_ms, rates),
            }
            for added_ms in all_ms
        }
        for contender, all_ms in ADDED_MS.items()
    }
    report(NAME, [table(rates)], {"pages": options.pages, **figures})


if __name__ == "__main__":
    run(main)
