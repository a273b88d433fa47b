"""Does each host have its turn, however much is queued for others, and what does that cost Redis?

    python -m benchmarks.fairness [--quick]

Simulated workers on a real frontier: they ask, say when they went to their sites and complete at once.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rich.progress import track

from benchmarks.fairness import cost, shares
from benchmarks.harness import report, run

NAME = "fairness"


def main() -> None:
    """Measure shares and lateness, then cost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer hosts and leases, rougher figures")
    options = parser.parse_args()
    plans = shares.QUICK_PLANS if options.quick else shares.PLANS
    hosts = cost.QUICK_HOSTS if options.quick else cost.HOSTS
    shared = [shares.measure(plan) for plan in track(plans, "shares")]
    costs = [one for number in track(hosts, "cost") for one in cost.measure(number)]
    figures = {"shares": list(map(asdict, shared)), "cost": list(map(asdict, costs))}
    report(NAME, [*shares.tables(shared), cost.table(costs)], figures)


if __name__ == "__main__":
    run(main)
