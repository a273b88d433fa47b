"""Time against size. CPU time, the best of several calls and no collection of garbage keep noise out."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.linear.shapes import Shape
from benchmarks.linear.subjects import Subject

MB = 1_000_000
SIZES = tuple(round(mb * MB) for mb in (0.25, 0.5, 1, 2, 4))
MOST_SLOPE = 1.1
_SOON_S = 0.005
"""Below that the start of a call weighs more than its size."""
_TRIES = 3
_GIVE_UP_S = 20.0


@dataclass(frozen=True, slots=True)
class Growth:
    """CPU seconds of one subject and shape by size."""

    subject: str
    shape: str
    sizes: tuple[int, ...]
    cpu_s: tuple[float, ...]

    @property
    def slope(self) -> float:
        """Of the logarithms, by least squares over what takes long enough; 0 where nothing does."""
        pairs = zip(self.sizes, self.cpu_s, strict=True)
        points = [(math.log(size), math.log(taken_s)) for size, taken_s in pairs if taken_s > _SOON_S]
        if len(points) < 2:
            return 0.0
        x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
        return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)

    @property
    def worst_ms_a_mb(self) -> float:
        """The dearest size."""
        return max(1000 * s / (n / MB) for n, s in zip(self.sizes, self.cpu_s, strict=True))


def grow(subject: Subject, name: str, shape: Shape, sizes: Sequence[int] = SIZES) -> Growth:
    """How long `subject` takes with ever more of a shape. It is given up where one call takes very long."""
    done: list[float] = []
    for size in sizes:
        text = shape(size if subject.most is None else min(size, subject.most))
        done.append(cpu_s(subject, text))
        if done[-1] > _GIVE_UP_S:
            break
    return Growth(subject.name, name, tuple(sizes[: len(done)]), tuple(done))


def cpu_s(subject: Subject, text: str, tries: int = _TRIES) -> float:
    """The CPU seconds of one call, the best of some."""
    best = math.inf
    for tried in range(tries):
        gc.collect()
        gc.disable()
        try:
            before = time.process_time()
            subject.work(text)
            best = min(best, time.process_time() - before)
        finally:
            gc.enable()
        if best > 1 and tried:
            break
    return best
