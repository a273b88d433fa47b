"""Numbers from outside, within a range: what a site, a spider, a message or Redis says may be any number at
all, or none, and the next layer takes only so much.
"""

from __future__ import annotations

import math
import re

MOST_MS: int = 2**40
"""The longest time that the scripts count with, 35 years; `manners.lua` has the same."""

_DIGITS = re.compile(rb"-?\d{1,16}")


def within(value: object, least: int, most: int, otherwise: int | None = None) -> int:
    """The whole number next to `value`, or `least` or `most` where it lies beyond. For NaN and what is no
    number: `otherwise`, or `least` where that isn't given.
    """
    return round(_within(value, least, most, least if otherwise is None else otherwise))


def ms_of(seconds: object) -> int:
    """So many `seconds` in whole ms, 0 to :data:`MOST_MS`; 0 for what is no number."""
    return round(1000 * _within(seconds, 0, MOST_MS / 1000, 0))


def number_of(text: bytes | None) -> int:
    """The whole number that stands in Redis as `text`; 0 for none, or more than scripts count with."""
    return int(text) if text and _DIGITS.fullmatch(text) else 0


def _within(value: object, least: float, most: float, otherwise: float) -> float:
    if not isinstance(value, int | float) or (isinstance(value, float) and math.isnan(value)):
        return otherwise
    return max(least, min(value, most))
