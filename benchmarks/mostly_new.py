"""The first pages of a large site, where most links are new: no cache of seen links is of help.

python -m benchmarks.mostly_new [--pages 3000] [--site 200000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from rich.progress import track
from rich.table import Table

from benchmarks.contenders import Contender
from benchmarks.cpu_per_page import SAME_SETTINGS
from benchmarks.graph_crawl import Bench, Crawl, bench, graph
from benchmarks.harness import report, run, spread
from deploy.local.practice_site import PracticeSite, graph_links

NAME = "mostly_new"
START_UP_PAGES = 20


@dataclass(frozen=True)
class Cost:
    """For a page beyond the start: CPU of the worker in ms, of Redis in us."""

    worker_ms: float
    redis_us: float


Costs = Mapping[Contender, list[Cost]]


def measure(at: Bench, contender: Contender, site: PracticeSite, pages: int) -> Cost:
    """Two crawls that are stopped, one early; what the difference cost."""
    (start, few), (whole, many) = (_stopped(at, contender, site, count) for count in (START_UP_PAGES, pages))
    return Cost(
        worker_ms=1e3 * (whole.cpu_s - start.cpu_s) / (many - few),
        redis_us=1e6 * (whole.redis_cpu_s - start.redis_cpu_s) / (many - few),
    )


def _stopped(at: Bench, contender: Contender, site: PracticeSite, pages: int) -> tuple[Crawl, int]:
    """A crawl that Scrapy ends after so many pages, and how many it was until those under way were done."""
    stops = replace(contender, settings={**contender.settings, "CLOSESPIDER_PAGECOUNT": pages})
    visited = len(site.visits())
    with at.crawling(stops, site, pages=0) as worker:
        crawl = at.finish(worker, site, pages)
    return crawl, len(site.visits()) - visited


def new_links(pages: int, of: int) -> float:
    """How many of a page's 20 links are new, on average over the first `pages` in order of discovery."""
    seen, queue = {0}, deque([0])
    for _ in range(pages):
        found = [link for link in graph_links(queue.popleft(), of) if link not in seen]
        queue.extend(dict.fromkeys(found))
        seen.update(found)
    return len(seen) / pages


def table(costs: Costs, title: str) -> Table:
    """Medians and ranges over the rounds."""
    shown = Table(title=title)
    shown.add_column("scheduler")
    for heading in ("worker ms / page", "of in memory", "Redis us / page"):
        shown.add_column(heading, justify="right")
    for contender, cost in costs.items():
        shown.add_row(
            contender.name,
            spread([each.worker_ms for each in cost], digits=2),
            f"{share(costs, contender):.2f}",
            spread([each.redis_us for each in cost], digits=0),
        )
    return shown


def share(costs: Costs, contender: Contender) -> float:
    """The worker's CPU as a share of that of the first."""
    medians = [statistics.median(each.worker_ms for each in costs[one]) for one in (contender, *costs)]
    return medians[0] / medians[1]


def figures(costs: Costs) -> dict[str, object]:
    """The same as plain data, every round of it."""
    return {
        contender.name: {"share": share(costs, contender), "rounds": [asdict(each) for each in cost]}
        for contender, cost in costs.items()
    }


def crawl_all(contenders: Sequence[Contender], pages: int, of: int, rounds: int) -> Costs:
    """Each in turn, round by round."""
    costs: dict[Contender, list[Cost]] = {contender: [] for contender in contenders}
    with bench() as at, graph(of) as site:
        for _ in track(range(rounds), "Rounds"):
            for contender, measured in costs.items():
                measured.append(measure(at, contender, site, pages))
    return costs


def main() -> None:
    """Measure all contenders in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mostly_new", description=__doc__)
    parser.add_argument("--pages", type=int, default=3000, help="pages of a crawl")
    parser.add_argument("--site", type=int, default=200_000, help="pages of the site")
    parser.add_argument("--rounds", type=int, default=3, help="crawls of each contender")
    options = parser.parse_args()
    costs = crawl_all(SAME_SETTINGS, options.pages, options.site, options.rounds)
    new = new_links(options.pages, options.site)
    title = f"The first {options.pages:,} of {options.site:,} pages: {new:.1f} of 20 links are new"
    given = {"pages": options.pages, "site": options.site, "new_links_a_page": new}
    report(NAME, [table(costs, title)], {**given, **figures(costs)})


if __name__ == "__main__":
    run(main)
