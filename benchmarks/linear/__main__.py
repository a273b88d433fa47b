"""Time against size for every function that sees what a site sends.

python -m benchmarks.linear [--subject WORD] [--draw benchmarks/linear.svg]

Exit status 1 where a slope is beyond 1.1, by the rule of benchmarks.linear.measure. It takes some three
minutes; --draw needs matplotlib.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.harness import BenchmarkError, run
from benchmarks.linear.measure import (
    AGAIN_SIZES,
    MB,
    MOST_SLOPE,
    SIZES,
    Growth,
    grow,
    grow_again,
    machine_slope,
)
from benchmarks.linear.subjects import SUBJECTS


def table(grown: Sequence[Growth]) -> Table:
    """Of each subject its steepest and its dearest shape."""
    drawn = Table("function", "shapes", "steepest slope", "of", "worst ms a MB", "of", "at the largest, s")
    for subject in dict.fromkeys(each.subject for each in grown):
        own = [each for each in grown if each.subject == subject]
        steep = max(own, key=lambda each: each.slope)
        dear = max(own, key=lambda each: each.worst_ms_a_mb)
        drawn.add_row(
            *(subject, str(len(own)), f"{steep.slope:.2f}", steep.shape),
            *(f"{dear.worst_ms_a_mb:.1f}", dear.shape, f"{max(each.cpu_s[-1] for each in own):.2f}"),
        )
    return drawn


def draw(grown: Sequence[Growth], to: Path) -> None:
    """The dearest shape of each subject, and its slope."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise BenchmarkError("There is no matplotlib: .venv/bin/pip install matplotlib.") from None
    pyplot.rcParams["svg.hashsalt"] = "linear"  # the same figures make the same file
    sheet, panel = pyplot.subplots(figsize=(9, 6), layout="constrained")
    for subject in dict.fromkeys(each.subject for each in grown):
        dear = max((each for each in grown if each.subject == subject), key=lambda each: each.cpu_s[-1])
        label = f"{subject}: {dear.shape} ({dear.slope:.2f})"
        panel.loglog([n / MB for n in dear.sizes], dear.cpu_s, marker="o", label=label)
    panel.set(xlabel="MB", ylabel="CPU seconds", title="The dearest shape of each function, and its slope")
    panel.grid(visible=True, alpha=0.3)
    panel.legend(fontsize="small")
    sheet.savefig(to, metadata={"Date": None})


def main() -> None:
    """Measures, says, and fails where something is beyond."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linear", description=__doc__)
    parser.add_argument("--subject", default="", help="only those with this in their names")
    parser.add_argument("--draw", type=Path, help="the file to be drawn")
    options = parser.parse_args()
    pairs = [
        (subject, name, shape)
        for subject in SUBJECTS
        if options.subject in subject.name
        for name, shape in subject.shapes.items()
    ]
    what = f"{len(pairs)} shapes, {SIZES[0] / MB:g} to {SIZES[-1] / MB:g} MB"
    grown = [grow(*pair) for pair in track(pairs, what)]
    looked_at = [again for again, each in enumerate(grown) if each.slope > MOST_SLOPE]
    of_memory = machine_slope() if looked_at else 0.0
    for again in track(looked_at, f"{len(looked_at)} again, up to {AGAIN_SIZES[-1] / MB:g} MB"):
        subject, _, shape = pairs[again]
        grown[again] = grow_again(grown[again], subject, shape, of_memory)
    console = Console(width=140)
    console.print(table(grown))
    console.print(f"Slope of linear work by the caches of this machine, 2 to 8 MB: {1 + of_memory:.2f}")
    for each in (grown[again] for again in looked_at):
        console.print(
            f"Measured again: {each.subject}, {each.shape}: {each.measured_slope:.2f},"
            f" less {each.of_memory:.2f}: {each.slope:.2f}"
        )
    if options.draw:
        draw(grown, options.draw)
    beyond = [each for each in grown if each.slope > MOST_SLOPE]
    if beyond:
        lines = [f"{each.subject}, {each.shape}: {each.slope:.2f}" for each in beyond]
        raise BenchmarkError(f"Slopes beyond {MOST_SLOPE}:\n" + "\n".join(lines))


if __name__ == "__main__":
    run(main)
