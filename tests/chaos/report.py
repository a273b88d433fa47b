"""What the long form shows: a line for each run, a table of all, and JSON."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.local.servers import DATA

from .outcome import Outcome


def outcome_line(outcome: Outcome) -> str:
    """One run in one line, and each of its problems in one more."""
    verdict, scale = outcome.verdict, outcome.scale
    recovery = f", recovered in {max(verdict.recoveries_s):.1f} s" if verdict.recoveries_s else ""
    stock = "" if outcome.stock_lost is None else f"; stock lost {outcome.stock_lost}"
    line = (
        f"seed {outcome.seed}: {verdict.expected} pages, {len(verdict.lost)} lost, {verdict.twice} twice,"
        f" {verdict.dead} dead, {verdict.refetched} refetched{recovery}{stock}; {outcome.took_s:.0f} s,"
        f" lease {scale.lease_s:g} s, fsync {scale.appendfsync}: {', '.join(outcome.faults)}"
    )
    if not verdict.problems:
        return line
    return "\n".join([line, *(f"    FAILED {p}" for p in verdict.problems), f"    again: {outcome.command}"])


def figures(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """All runs together."""
    verdicts = [outcome.verdict for outcome in outcomes]
    fetched = sum(verdict.fetched for verdict in verdicts)
    refetched = sum(verdict.refetched for verdict in verdicts)
    return {
        "runs": len(outcomes),
        "runs with a problem": sum(bool(verdict.problems) for verdict in verdicts),
        "faults injected": sum(len(outcome.faults) for outcome in outcomes),
        "pages expected": sum(verdict.expected for verdict in verdicts),
        "pages lost": sum(len(verdict.lost) for verdict in verdicts),
        "dead letters, each with its reason": sum(verdict.dead for verdict in verdicts),
        "documents twice": sum(verdict.twice for verdict in verdicts),
        "pages fetched again": f"{100 * refetched / max(fetched - refetched, 1):.1f} %",
        **_recoveries(outcomes),
    }


def _recoveries(outcomes: Sequence[Outcome]) -> dict[str, str]:
    shown = {}
    for lease_s in sorted({outcome.scale.lease_s for outcome in outcomes}):
        times = [
            took_s
            for outcome in outcomes
            for took_s in outcome.verdict.recoveries_s
            if outcome.scale.lease_s == lease_s
        ]
        if times:
            text = f"{statistics.median(times):.2f} s, worst {max(times):.2f} s of {len(times)}"
            shown[f"recovery after the loss of a worker, lease {lease_s:g} s: median"] = text
    return shown


def print_table(outcomes: Sequence[Outcome]) -> None:
    """All runs together, and how often each fault was injected."""
    console = Console()
    table = Table("all runs", "", show_lines=False)
    for name, value in figures(outcomes).items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)
    if any(outcome.stock_lost is not None for outcome in outcomes):
        return console.print(_beside_stock(outcomes))
    faults = Table("fault", "injected")
    for name, number in Counter(name for outcome in outcomes for name in outcome.faults).most_common():
        faults.add_row(name, str(number))
    return console.print(faults)


def _beside_stock(outcomes: Sequence[Outcome]) -> Table:
    table = Table("fault", "runs", "pages", "lost by stock", "in how many runs", "lost by this project")
    for name in dict.fromkeys(name for outcome in outcomes for name in outcome.faults):
        those = [outcome for outcome in outcomes if outcome.faults == [name]]
        stock = [outcome.stock_lost or 0 for outcome in those]
        pages = sum(outcome.scale.pages for outcome in those)
        ours = sum(len(outcome.verdict.lost) for outcome in those)
        numbers = (len(those), pages, sum(stock), sum(map(bool, stock)), ours)
        table.add_row(name, *(f"{number:,}" for number in numbers))
    return table


def write_json(outcomes: Sequence[Outcome]) -> Path:
    """Everything, for others to read; in stock mode into a file of its own."""
    stock = any(outcome.stock_lost is not None for outcome in outcomes)
    path = DATA / ("chaos-stock.json" if stock else "chaos.json")
    content = {"figures": figures(outcomes), "runs": [asdict(outcome) for outcome in outcomes]}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path
