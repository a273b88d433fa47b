"""The gate of CI lets noise and gains through, and nothing that is more than 5 % worse."""

from __future__ import annotations

import pytest

from benchmarks.gate import verdict


@pytest.mark.parametrize("measured", [0.2, 0.39, 0.4, 0.419])
def test_what_is_not_5_percent_worse_passes(measured: float) -> None:
    # Given a share of 0.4 that is expected
    # When something better, or hardly worse, is measured
    passed, _ = verdict("ours / theirs", measured, 0.4)

    # Then it passes
    assert passed


def test_what_is_worse_fails_with_a_sentence_that_says_what_to_do() -> None:
    # Given a share of 0.4 that is expected
    # When one 10 % above it is measured
    passed, said = verdict("ours / theirs", 0.44, 0.4)

    # Then it fails, and says which, by how much, and how to accept it
    assert not passed
    assert "ours / theirs: 0.440" in said
    assert "+10.0%" in said
    assert "--accept" in said


def test_a_gain_is_offered_to_be_kept() -> None:
    assert "--accept" in verdict("ours / theirs", 0.3, 0.4)[1]


def test_a_share_that_is_new_must_be_accepted_first() -> None:
    passed, said = verdict("ours / theirs", 0.4, None)

    assert not passed
    assert "--accept" in said
