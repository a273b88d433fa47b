"""The gate of CI: does a page take more instructions than it did, against what others take as they ship?

python -m benchmarks.gate [--accept]

Fails when a share is more than 5 % above the one in `benchmarks/gate.json`. `--accept` writes what is
measured into that file: for a change that is meant, or a gain that shall stay.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from benchmarks.contenders import MEMORY, OURS, OURS_FAST, OURS_IN_BULK, STOCK
from benchmarks.harness import run
from benchmarks.instructions import measure

EXPECTED = Path(__file__).with_suffix(".json")
TOLERANCE = 0.05
FEW, MANY = 100, 500
"""Repeats agree within 1 % with so few pages, see README.md."""

PAIRS = ((OURS, MEMORY), (OURS, STOCK), (OURS_IN_BULK, MEMORY), (OURS_FAST, MEMORY))

Shares = Mapping[str, float]
"""`this project / Scrapy, in memory`: instructions for a page of the one, in those of the other."""


def shares() -> Shares:
    """What is measured now; takes some minutes."""
    counts = measure(list(dict.fromkeys(chain(*PAIRS))), FEW, MANY)
    return {f"{one.name} / {other.name}": round(counts[one] / counts[other], 4) for one, other in PAIRS}


def verdict(name: str, measured: float, expected: float | None) -> tuple[bool, str]:
    """Whether a share may pass, and a sentence about it; one that is not expected yet may not."""
    accept = f"run python -m benchmarks.gate --accept and commit {EXPECTED.name}."
    if expected is None:
        return False, f"{name}: {measured:.3f}, of which {EXPECTED.name} knows nothing yet: {accept}"
    change = measured / expected - 1
    said = f"{name}: {measured:.3f} of the instructions for a page, {expected:.3f} expected, {change:+.1%}"
    if change > TOLERANCE:
        return False, f"{said}: more than {TOLERANCE:.0%} worse. Find out why; if it is meant, {accept}"
    if change < -TOLERANCE:
        return True, f"{said}. To keep that gain, {accept}"
    return True, f"{said}."


def main() -> None:
    """Measure, and compare or accept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--accept", action="store_true", help="take what is measured for what is expected")
    accept = parser.parse_args().accept
    measured = shares()
    if accept:
        EXPECTED.write_text(json.dumps(measured, indent=2) + "\n")
    expected = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    verdicts = [verdict(name, share, expected.get(name)) for name, share in measured.items()]
    for _, said in verdicts:
        print(said)
    sys.exit(not all(passed for passed, _ in verdicts))


if __name__ == "__main__":
    run(main)
