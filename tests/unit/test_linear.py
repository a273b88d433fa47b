"""What a site sends takes time in proportion to its size, whatever its shape: `benchmarks.linear`, small."""

from __future__ import annotations

import pytest

from benchmarks.linear.measure import cpu_s
from benchmarks.linear.shapes import HTML
from benchmarks.linear.subjects import SUBJECTS, Subject

# Four times the bytes: 4 times the time where it is linear, 16 times where it is quadratic.
MOST_GROWTH = 8
SIZE = 70_000  # bytes
NOISE_S = 0.05  # at most that for what is done once, whatever the size
GRAVEST = ("the index of the JDK", "many attributes", "many <base>", "links, long base", "one long link")


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_what_a_site_sends_takes_time_in_proportion_to_its_size(subject: Subject) -> None:
    once = subject is SUBJECTS[0] or subject.shapes is not HTML
    for name in subject.shapes if once else GRAVEST:
        shape = subject.shapes[name]
        small_s = cpu_s(subject, shape(SIZE), tries=1)
        large_s = cpu_s(subject, shape(4 * SIZE), tries=1)
        assert large_s < MOST_GROWTH * small_s + NOISE_S, name
