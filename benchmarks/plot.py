"""Draws how the frontier's costs grow, from the figures that `benchmarks.frontier` left.

python -m benchmarks.plot [--to benchmarks/growth.svg]

Needs matplotlib, which nothing else here does: `.venv/bin/pip install matplotlib`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, BenchmarkError, run

FIGURES = (RESULTS / "frontier.json", RESULTS / "frontier-growth.json")
"""Of all cases, and of `--only growth`; the younger counts."""
COSTS = (("new_us", "a new link"), ("seen_us", "a seen link"), ("lease_us", "a lease and its completion"))

Rows = Sequence[Mapping[str, Any]]


def growth() -> Mapping[str, Any]:
    """The figures; a BenchmarkError where nobody has measured them."""
    there = [path for path in FIGURES if path.exists()]
    if not there:
        raise BenchmarkError(f"There is no {FIGURES[1]}: run python -m benchmarks.frontier --only growth.")
    youngest = max(there, key=lambda path: path.stat().st_mtime)
    measured: Mapping[str, Any] = json.loads(youngest.read_text())["growth"]
    return measured


def draw(measured: Mapping[str, Any], to: Path) -> None:
    """Three panels beside each other, as SVG or by whatever ending `to` has."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise BenchmarkError("There is no matplotlib: .venv/bin/pip install matplotlib.") from None
    pyplot.rcParams["svg.hashsalt"] = "growth"  # the same figures make the same file
    sheet, (by_seen, by_hosts, memory) = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")
    seen, hosts = measured["by_seen"], [row["cost"] for row in measured["by_hosts"]]
    for name, label in COSTS:
        _line(by_seen.semilogx, seen["costs"], "seen", name, label)
        _line(by_hosts.semilogx, hosts, "hosts", name, label)
    for name, label in (("stock", "scrapy-redis"), ("worst", "this project, at the worst moment")):
        _line(memory.loglog, seen[name], "seen", "bytes_each", label)
    _line(memory.loglog, seen["memory"], "seen", "bytes_each", "this project")
    titles = {
        by_seen: "µs of Redis, by URLs seen",
        by_hosts: "µs of Redis, by hosts",
        memory: "bytes a seen URL",
    }
    for panel, title in titles.items():
        panel.set(title=title, xlabel="hosts" if panel is by_hosts else "URLs seen")
        panel.set_ylim(bottom=1 if panel is memory else 0)
        panel.grid(visible=True, alpha=0.3)
        panel.legend()
    sheet.savefig(to, metadata={"Date": None})


def _line(plot: Callable[..., object], rows: Rows, x: str, y: str, label: str) -> None:
    plot([row[x] for row in rows], [row[y] for row in rows], marker="o", label=label)


def main() -> None:
    """Draw what was measured last."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description=__doc__)
    parser.add_argument("--to", type=Path, default=RESULTS / "growth.svg", help="the file to be written")
    to = parser.parse_args().to
    draw(growth(), to)
    print(f"Drawn: {to}")


if __name__ == "__main__":
    run(main)
