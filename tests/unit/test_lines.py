"""A record of the log is one line, whatever it is about."""

from __future__ import annotations

import logging

import pytest

from crawlers.scheduler.lines import LogRecord

FORGED = "a\n2026-01-01 [x] ERROR: forged\x1b[31m\x9b\u2028\u202e\udcff\r"


def formatted(name: str, message: str, *args: object, error: BaseException | None = None) -> str:
    """What a handler would write."""
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = LogRecord(name, logging.ERROR, "file", 1, message, args, exc_info)
    return logging.Formatter("%(message)s").format(record)


def test_what_is_foreign_begins_no_line_and_moves_no_cursor() -> None:
    # Given a text from outside, when it is logged, then it is printable, and ASCII and other letters stay
    assert formatted("any", "Set aside: %s ü", FORGED).isprintable()
    assert formatted("any", "Set aside: %s", "ünïcode") == "Set aside: ünïcode"


def test_the_text_of_an_error_begins_no_line_in_its_traceback() -> None:
    # Given an error about an error, both of whose texts are from outside
    try:
        try:
            raise ValueError(FORGED)
        except ValueError as error:
            raise KeyError(FORGED) from error
    except KeyError as error:
        text = formatted("any", "failed", error=error)

    # When they are logged, then each line is the traceback's own
    assert "\n2026-01-01" not in text
    assert text.count("Traceback (most recent call last):\n") == 2
    assert [line for line in text.split("\n") if line.startswith("  File ")]
    assert all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("name", ["scrapy.crawler", "scrapy.statscollectors"])
def test_records_of_several_lines_of_scrapys_own_stay_such(name: str) -> None:
    # Given Scrapy's settings and figures, when they are logged, then they have their lines, without codes
    assert formatted(name, "Dumping:\n%s", "{'a': 1,\n 'b': 2\x1b}") == "Dumping:\n{'a': 1,\n 'b': 2\\x1b}"
