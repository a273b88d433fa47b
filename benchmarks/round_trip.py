"""Throughput of one worker when Redis is further away: ours and stock scrapy-redis.

python -m benchmarks.round_trip [--pages 600] [--rounds 3] [--round-trip-ms 4]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from rich.progress import track
from rich.table import Table

from benchmarks.contenders import OURS, STOCK, Contender
from benchmarks.delay_proxy import delayed
from benchmarks.graph_crawl import bench, graph
from benchmarks.harness import report, run, spread

NAME = "round_trip"
CONTENDERS = (STOCK, OURS)

Rates = dict[tuple[Contender, float], list[float]]
"""Pages a second by contender and added round trip in ms, one for each round."""


def ratio(contender: Contender, delay_ms: float, rates: Rates) -> float:
    """What is left of the throughput without a delay."""
    near, far = rates[contender, 0], rates[contender, delay_ms]
    return statistics.median(far) / statistics.median(near)


def table(delay_ms: float, rates: Rates) -> Table:
    """Medians and ranges over the rounds."""
    shown = Table(title="Pages a second of one worker, by round trip added to Redis")
    shown.add_column("scheduler")
    for heading in ("0 ms", f"{delay_ms:g} ms", "kept"):
        shown.add_column(heading, justify="right")
    for contender in CONTENDERS:
        cells = [spread(rates[contender, added], digits=0) for added in (0, delay_ms)]
        shown.add_row(contender.name, *cells, f"{ratio(contender, delay_ms, rates):.0%}")
    return shown


def measure(delays_ms: Sequence[float], pages: int, rounds: int) -> Rates:
    """Crawl in turn. The proxy stands in the way without a delay too, so that only that differs."""
    rates: Rates = {(contender, added): [] for contender in CONTENDERS for added in delays_ms}
    with bench() as at, graph(pages) as site:
        for _ in track(range(rounds), "Rounds"):
            for (contender, added_ms), measured in rates.items():
                with delayed(at.redis_port, added_ms) as port:
                    measured.append(at.crawl(contender, site, pages, port).pages_per_s)
    return rates


def main() -> None:
    """Measure both contenders near to Redis and far from it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.round_trip", description=__doc__)
    parser.add_argument("--pages", type=int, default=600, help="pages of a crawl")
    parser.add_argument("--rounds", type=int, default=3, help="crawls of each kind")
    parser.add_argument("--round-trip-ms", type=float, default=4, help="what is added")
    options = parser.parse_args()
    delay_ms = options.round_trip_ms
    rates = measure((0, delay_ms), options.pages, options.rounds)
    figures = {
        contender.name: {
            "pages_per_s": rates[contender, 0],
            "pages_per_s_far": rates[contender, delay_ms],
            "kept": ratio(contender, delay_ms, rates),
        }
        for contender in CONTENDERS
    }
    report(NAME, [table(delay_ms, rates)], {"round_trip_ms": delay_ms, **figures})


if __name__ == "__main__":
    run(main)
