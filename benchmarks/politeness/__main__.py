"""Is the fleet polite, as the sites see it? This project, and stock scrapy-redis beside it.

    python -m benchmarks.politeness [--only gaps|caps|retry-after|silent] [--quick]

All figures are those of the practice site, which is several hosts here and a real-time process where
that is permitted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.progress import Progress
from rich.table import Table

from benchmarks.harness import report, run
from benchmarks.politeness import caps, gaps, retry_after, silent
from benchmarks.politeness.fleet import FLEETS, Fleet, Ground, ground

NAME = "politeness"


@dataclass(frozen=True)
class Case:
    """What is measured under one name: `plans` in turn, or `quick` ones; and the table of it all."""

    plans: Sequence[Any]
    quick: Sequence[Any]
    measure: Callable[[type[Fleet], Ground, Any], Any]
    table: Callable[[Sequence[Any]], Table]


CASES: Mapping[str, Case] = {
    "gaps": Case(gaps.PLANS, gaps.QUICK_PLANS, gaps.measure, gaps.table),
    "caps": Case(caps.PLANS, caps.QUICK_PLANS, caps.measure, caps.table),
    "retry-after": Case(retry_after.PLANS, retry_after.QUICK_PLANS, retry_after.measure, retry_after.table),
    "silent": Case(silent.PLANS, silent.QUICK_PLANS, silent.measure, silent.table),
}


def main() -> None:
    """Measure what was asked for with all who were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.politeness", description=__doc__)
    parser.add_argument("--only", choices=CASES, help="leave the other cases out")
    parser.add_argument("--contender", choices=FLEETS, help="leave the other one out")
    parser.add_argument("--quick", action="store_true", help="smaller crawls, rougher figures")
    options = parser.parse_args()
    cases = [options.only] if options.only else list(CASES)
    kinds = [FLEETS[options.contender]] if options.contender else list(FLEETS.values())
    measured: dict[str, list[Any]] = {name: [] for name in cases}
    with ground() as at, Progress() as progress:
        for name in cases:
            case = CASES[name]
            crawls = [
                (kind, plan) for kind in kinds for plan in (case.quick if options.quick else case.plans)
            ]
            for kind, plan in progress.track(crawls, description=name):
                measured[name].append(case.measure(kind, at, plan))
    tables = [CASES[name].table(results) for name, results in measured.items()]
    figures = {name: list(map(asdict, results)) for name, results in measured.items()}
    report(NAME, tables, {"site_goes_first": at.site_goes_first, **figures})
    if not at.site_goes_first:
        print("The site was no real-time process, which takes root: on a busy machine gaps are some ms off.")


if __name__ == "__main__":
    run(main)
