"""What becomes of a crawl one of whose callbacks blocks: dead letters, pages crawled twice, workers fenced.

python -m benchmarks.blocked_callbacks [--quick]

By default it takes as long as the longest callback, 11 minutes: callbacks of 5, 60 and 600 s at the default
lease and limit, with one worker and with three, and one beyond a limit of 40 s. --quick: the same with all
times divided by 5, in some three minutes.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from os import environ
from pathlib import Path

import redis
from rich.table import Table

from benchmarks.harness import Worker, report, run
from crawlers import settings
from deploy.local.practice_site import practice_site
from deploy.local.servers import redis_server

NAME = "blocked_callbacks"
PAGES = 40
SECONDS = (5, 60, 600)
WORKERS = (1, 3)
BEYOND_S, LIMIT_S = 60, 40
"""A callback beyond the limit, and that limit."""


@dataclass(frozen=True)
class Case:
    """A crawl: for how long a callback blocks, how many workers there are, and for how long it may block."""

    blocked_s: float
    workers: int
    limit_s: float

    @property
    def crawl(self) -> str:
        """Its name in Redis."""
        return f"blocked-{self.blocked_s:g}-{self.workers}-{self.limit_s:g}"

    def commands(self, url: str, lease_s: float) -> list[list[str]]:
        """What its workers run."""
        arguments = {"url": url, "seconds": self.blocked_s, "pages": PAGES, "crawl": self.crawl}
        options = {
            "FRONTIER_LEASE_TTL_S": lease_s,
            "FRONTIER_CALLBACK_LIMIT_S": self.limit_s,
            "SPIDER_MODULES": "benchmarks.spiders",
        }
        words = ["crawl", "blocked"]
        for option, values in (("-a", arguments), ("-s", options)):
            for name, value in values.items():
                words += [option, f"{name}={value}"]
        return [words] * self.workers


def outcome(case: Case, client: redis.Redis, logs: Sequence[str]) -> dict[str, object]:
    """What became of it."""
    crawled = Counter(number for log in logs for number in re.findall(r"Crawled \S+/leaf/(\d+)", log))
    letters = client.xrange(f"{{{case.crawl}}}:dead")
    return {
        "blocked_s": case.blocked_s,
        "limit_s": case.limit_s,
        "workers": case.workers,
        "pages": len(crawled),
        "crawled_again": sum(crawled.values()) - len(crawled),
        "dead": len(letters),
        "fenced": sum(log.count("was taken for dead") for log in logs),
        "warned": sum(log.count("blocked its worker for") for log in logs),
    }


def measure(cases: Sequence[Case], lease_s: float) -> list[dict[str, object]]:
    """All cases at once, for they do nothing but wait."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        server = stack.enter_context(redis_server(folder / "redis"))
        site = stack.enter_context(practice_site(folder))
        environ_ = {**environ, "REDIS_URL": server.url}
        begun: dict[Case, list[Worker]] = {}
        for case in cases:
            begun[case] = [
                stack.enter_context(Worker(command, environ_, folder / f"{case.crawl}-{number}.log"))
                for number, command in enumerate(case.commands(site.url, lease_s))
            ]
        for case, workers in begun.items():
            for worker in workers:
                worker.finish(4 * case.blocked_s + 120)
        with redis.Redis.from_url(server.url) as client:
            return [outcome(case, client, [w.output() for w in begun[case]]) for case in cases]


def table(rows: Sequence[Mapping[str, object]], lease_s: float) -> Table:
    """The outcomes."""
    shown = Table(title=f"A callback blocks one of {PAGES} pages, lease {lease_s:g} s")
    for name in rows[0]:
        shown.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        shown.add_row(*(f"{value:g}" if isinstance(value, float) else str(value) for value in row.values()))
    return shown


def main() -> None:
    """Crawl all cases, and print what became of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blocked_callbacks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="all times divided by 5")
    by = 5 if parser.parse_args().quick else 1
    lease_s, limit_s = settings.FRONTIER_LEASE_TTL_S / by, settings.FRONTIER_CALLBACK_LIMIT_S / by
    cases = [Case(seconds / by, workers, limit_s) for seconds in SECONDS for workers in WORKERS]
    cases += [Case(BEYOND_S / by, workers, LIMIT_S / by) for workers in WORKERS]
    rows = measure(cases, lease_s)
    report(NAME, [table(rows, lease_s)], {"lease_s": lease_s, "outcomes": rows})


if __name__ == "__main__":
    run(main)
