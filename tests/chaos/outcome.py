"""What is kept of one run."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import Verdict
from .crawl_run import Scale


@dataclass(frozen=True)
class Outcome:
    """One run: its seed, the faults that began, how it went; in stock mode, the pages that stock lost."""

    seed: int
    scale: Scale
    faults: list[str]
    took_s: float
    verdict: Verdict
    stock_lost: int | None = None

    @property
    def command(self) -> str:
        """How to have the same faults at the same moments again."""
        stock = "" if self.stock_lost is None else " --stock"
        return f"python -m tests.chaos.run --runs 1 --seed {self.seed}{stock}"
