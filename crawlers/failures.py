"""Failures that the reason with which a spider is closed does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_STAT = "failure"


def fail(crawler: Crawler, sentence: str) -> None:
    """Has the process of `crawler` end with status 1, whatever the reason says; the first is kept."""
    if failure_of(crawler) is None:
        crawler.stats.set_value(_STAT, sentence)


def failure_of(crawler: Crawler) -> str | None:
    """What failed, None if nothing did."""
    failure = crawler.stats.get_value(_STAT)
    return None if failure is None else str(failure)
