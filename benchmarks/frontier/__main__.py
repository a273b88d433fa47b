"""What does the frontier cost, in Redis and beside it, and how does that grow?

    python -m benchmarks.frontier [--only operations|growth|fleet|shards|slowest] [--quick]

Real exchanges with a real Redis that writes to its disk as in production, with leases, heartbeats, reaping,
fences and payloads of a real size. Nothing is fetched: pages take no time.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from rich.table import Table

from benchmarks.frontier import fleet, growth, operations, shards, slowest
from benchmarks.harness import BenchmarkError, report, run

NAME = "frontier"


def _operations(options: argparse.Namespace) -> tuple[list[Table], Mapping[str, Any]]:
    plan = operations.QUICK_PLAN if options.quick else operations.PLAN
    plan = replace(plan, hosts=options.hosts)
    measured = operations.measure(plan)
    return [operations.table(measured, plan)], {"operations": operations.figures(measured)}


def _growth(options: argparse.Namespace) -> tuple[list[Table], Mapping[str, Any]]:
    measured = growth.measure(growth.QUICK_PLAN if options.quick else growth.PLAN)
    return growth.tables(measured), {"growth": asdict(measured)}


def _fleet(options: argparse.Namespace) -> tuple[list[Table], Mapping[str, Any]]:
    plan = fleet.QUICK_PLAN if options.quick else fleet.PLAN
    measured = fleet.measure(plan)
    return [fleet.table(measured, plan)], {"fleet": list(map(asdict, measured))}


def _shards(options: argparse.Namespace) -> tuple[list[Table], Mapping[str, Any]]:
    plan = shards.QUICK_PLAN if options.quick else shards.PLAN
    measured = shards.measure(plan)
    return [shards.table(measured, plan)], {"shards": shards.figures(measured)}


def _slowest(options: argparse.Namespace) -> tuple[list[Table], Mapping[str, Any]]:
    plan = slowest.QUICK_PLAN if options.quick else slowest.PLAN
    measured = slowest.measure(plan)
    return [slowest.table(measured, plan)], {
        "slowest": list(map(asdict, measured)),
        "too_slow": slowest.too_slow(measured),
    }


CASES = {
    "operations": _operations,
    "growth": _growth,
    "fleet": _fleet,
    "shards": _shards,
    "slowest": _slowest,
}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frontier", description=__doc__)
    parser.add_argument("--only", choices=CASES, help="leave the other cases out")
    parser.add_argument(
        "--hosts", type=int, default=16, help="of `operations`: hosts that share a batch (16)"
    )
    parser.add_argument("--quick", action="store_true", help="less of everything, rougher figures")
    options = parser.parse_args()
    tables: list[Table] = []
    figures: dict[str, Any] = {}
    for name in [options.only] if options.only else CASES:
        shown, found = CASES[name](options)
        tables += shown
        figures |= found
    report(f"{NAME}-{options.only}" if options.only else NAME, tables, figures)
    if figures.get("too_slow"):
        raise BenchmarkError(f"Calls over {slowest.MOST_MS:g} ms: {', '.join(figures['too_slow'])}.")


if __name__ == "__main__":
    run(main)
