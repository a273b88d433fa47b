"""Pages per CPU second of a worker: in memory, stock scrapy-redis, this project.

python -m benchmarks.cpu_per_page [--pages 3000] [--rounds 3] [--peers]

`--peers` adds crawlers of other kinds, which it installs at first use.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from rich.progress import track
from rich.table import Table

from benchmarks.contenders import (
    MEMORY,
    MEMORY_WITH_OUR_SETTINGS,
    OURS,
    OURS_FAST,
    OURS_IN_BULK,
    STOCK,
    STOCK_WITH_OUR_SETTINGS,
    Contender,
)
from benchmarks.graph_crawl import Bench, Crawl, bench, graph
from benchmarks.harness import report, run, spread
from benchmarks.peers import Peer, usable
from deploy.local.practice_site import PracticeSite

NAME = "cpu_per_page"
START_UP_PAGES = 20
"""A crawl of so few pages is what a start costs; it is subtracted."""

SAME_SETTINGS = (MEMORY_WITH_OUR_SETTINGS, STOCK_WITH_OUR_SETTINGS, OURS, OURS_IN_BULK, OURS_FAST)
AS_SHIPPED = (MEMORY, STOCK, OURS, OURS_IN_BULK)


@dataclass(frozen=True)
class Cost:
    """What a page costs beyond the start: CPU of the worker and of the servers, in milliseconds."""

    worker_ms: float
    redis_ms: float
    mongo_ms: float

    @property
    def pages_per_cpu_s(self) -> float:
        """Pages in a second of the worker's CPU."""
        return 1000 / self.worker_ms


Costs = dict[Contender | Peer, list[Cost]]


def measure(
    crawl: Callable[[PracticeSite, int], Crawl], few: PracticeSite, many: PracticeSite, pages: int
) -> Cost:
    """One crawl of START_UP_PAGES pages and one of `pages`; what the difference cost per page."""
    start, whole = crawl(few, START_UP_PAGES), crawl(many, pages)
    a_page_ms = 1000 / (pages - START_UP_PAGES)
    return Cost(
        worker_ms=a_page_ms * (whole.cpu_s - start.cpu_s),
        redis_ms=a_page_ms * (whole.redis_cpu_s - start.redis_cpu_s),
        mongo_ms=a_page_ms * (whole.mongo_cpu_s - start.mongo_cpu_s),
    )


def crawler(contender: Contender | Peer, at: Bench) -> Callable[[PracticeSite, int], Crawl]:
    """How it crawls a site of so many pages."""
    return partial(contender.crawl, at) if isinstance(contender, Peer) else partial(at.crawl, contender)


def table(title: str, contenders: Sequence[Contender | Peer], costs: Costs) -> Table:
    """Medians and ranges over the rounds, and how fast each is, the first taken for 1."""
    shown = Table(title=title)
    for heading in ("scheduler", "pages / CPU s", "ms / page: worker", "Redis", "MongoDB", "speed"):
        shown.add_column(heading, justify="left" if heading == "scheduler" else "right")
    first = rate(costs[contenders[0]])
    for contender in contenders:
        cost = costs[contender]
        shown.add_row(
            contender.name,
            spread([each.pages_per_cpu_s for each in cost], digits=0),
            spread([each.worker_ms for each in cost], digits=2),
            spread([each.redis_ms for each in cost], digits=3),
            spread([each.mongo_ms for each in cost], digits=2),
            f"{rate(cost) / first:.2f} x",
        )
    return shown


def rate(cost: Sequence[Cost]) -> float:
    """The median of pages per CPU second."""
    return statistics.median(each.pages_per_cpu_s for each in cost)


def figures(contenders: Sequence[Contender | Peer], costs: Costs) -> dict[str, object]:
    """The same as plain data, every round of it."""
    return {
        contender.name: {
            "pages_per_cpu_s": rate(costs[contender]),
            "speed": rate(costs[contender]) / rate(costs[contenders[0]]),
            "rounds": [asdict(cost) for cost in costs[contender]],
        }
        for contender in contenders
    }


def main() -> None:
    """Measure all contenders in turn, as often as asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cpu_per_page", description=__doc__)
    parser.add_argument("--pages", type=int, default=3000, help="pages of a crawl")
    parser.add_argument("--rounds", type=int, default=3, help="crawls of each contender")
    parser.add_argument("--peers", action="store_true", help="compare crawlers of other kinds as well")
    options = parser.parse_args()
    with bench() as at, graph(START_UP_PAGES) as few, graph(options.pages) as many:
        peers = usable(at, few, START_UP_PAGES) if options.peers else []
        everyone: list[Contender | Peer] = [*SAME_SETTINGS, *AS_SHIPPED, *peers]
        costs: Costs = {each: [] for each in everyone}
        for _ in track(range(options.rounds), "Rounds"):
            for contender, measured in costs.items():
                measured.append(measure(crawler(contender, at), few, many, options.pages))
    report(
        NAME,
        [
            table("Each with this project's settings", SAME_SETTINGS, costs),
            table("Each as it ships", [*AS_SHIPPED, *peers], costs),
        ],
        {
            "pages": options.pages,
            "same_settings": figures(SAME_SETTINGS, costs),
            "as_shipped": figures([*AS_SHIPPED, *peers], costs),
        },
    )


if __name__ == "__main__":
    run(main)
