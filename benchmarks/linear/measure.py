"""Time against size. CPU time, the best of several calls and no collection of garbage keep noise out.

The rule: the log-log slope of time over size is at most 1.1.

- Each shape is measured at 0.25, 1 and 4 MB. What takes less than 5 ms is left out: a call costs something
  whatever its size.
- A shape whose slope is beyond is measured again, alone, at 2, 4 and 8 MB, and that slope counts. Noise and a
  call's fixed costs are gone there; work that grows faster than its input is all the plainer.
- Linear work has a slope above 1 too where its memory leaves the caches: a step costs more, no step is added.
  :func:`yardstick` is such work and nothing else, a dict of as many bytes of distinct words. What its slope
  has above 1 at 2 to 8 MB, on the same machine in the same run, is taken off the second slope, but 0.2 at
  most: so what grows faster than the power 1.3 of its size fails on every machine.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.linear.shapes import Shape, numbered
from benchmarks.linear.subjects import Subject

MB = 1_000_000
SIZES = tuple(round(mb * MB) for mb in (0.25, 1, 4))
AGAIN_SIZES = tuple(mb * MB for mb in (2, 4, 8))
MOST_SLOPE = 1.1
_SOON_S = 0.005
"""Below that the start of a call weighs more than its size."""
_TRIES = 2
_AGAIN_TRIES = 4
_ENOUGH_S = 0.2
"""A call that takes as long isn't repeated the first time: its noise is small beside it."""
_MOST_OF_MEMORY = 0.2
_GIVE_UP_S = 20.0


@dataclass(frozen=True, slots=True)
class Growth:
    """CPU seconds of one subject and shape by size."""

    subject: str
    shape: str
    sizes: tuple[int, ...]
    cpu_s: tuple[float, ...]
    of_memory: float = 0.0
    """The part of the slope that is the machine's."""

    @property
    def slope(self) -> float:
        """What the rule holds against 1.1."""
        return self.measured_slope - self.of_memory

    @property
    def measured_slope(self) -> float:
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


def yardstick(text: str) -> None:
    """Work that is linear by its making, and whose memory grows with `text`."""
    dict.fromkeys(text.split())


def machine_slope() -> float:
    """How far the slope of the :func:`yardstick` is above 1 at the larger sizes: 0 to 0.2."""
    subject = Subject("yardstick", {}, yardstick)
    grown = _grow(subject, "words", numbered("a{} "), AGAIN_SIZES, _AGAIN_TRIES)
    return min(max(0.0, grown.measured_slope - 1), _MOST_OF_MEMORY)


def grow(subject: Subject, name: str, shape: Shape) -> Growth:
    """How long `subject` takes with ever more of a shape."""
    return _grow(subject, name, shape, SIZES, _TRIES)


def grow_again(first: Growth, subject: Subject, shape: Shape, of_memory: float) -> Growth:
    """The same at larger sizes, where the first slope was beyond. `of_memory`: see :func:`machine_slope`."""
    if subject.most is not None or first.cpu_s[-1] > _GIVE_UP_S:
        return first
    again = _grow(subject, first.shape, shape, AGAIN_SIZES, _AGAIN_TRIES)
    return replace(again, of_memory=of_memory)


def _grow(subject: Subject, name: str, shape: Shape, sizes: Sequence[int], tries: int) -> Growth:
    """It is given up where one call takes very long."""
    done: list[float] = []
    for size in sizes:
        text = shape(size if subject.most is None else min(size, subject.most))
        done.append(cpu_s(subject, text, tries))
        if done[-1] > _GIVE_UP_S:
            break
    return Growth(subject.name, name, tuple(sizes[: len(done)]), tuple(done))


def cpu_s(subject: Subject, text: str, tries: int = _TRIES) -> float:
    """The CPU seconds of one call, the best of some."""
    best = math.inf
    for _ in range(tries):
        gc.collect()
        gc.disable()
        try:
            before = time.process_time()
            subject.work(text)
            best = min(best, time.process_time() - before)
        finally:
            gc.enable()
        if best > (_ENOUGH_S if tries == _TRIES else 1):
            break
    return best
