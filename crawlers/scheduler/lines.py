"""Each record of the log is what its author meant: nothing foreign in it begins a line or moves a cursor.

URLs, methods, reasons and texts of errors come from sites, lists and Redis. Whoever logs them need not think
of it.
"""

from __future__ import annotations

import logging
from traceback import TracebackException
from typing import Any

from crawlers.frontier import printable, printable_lines

# Scrapy's, whose records of several lines hold settings and figures as `repr` has them.
_OF_SEVERAL_LINES = {f"scrapy.{name}" for name in ("addons", "crawler", "middleware", "statscollectors")}
_OF_SEVERAL_LINES |= {"scrapy.utils.log", "py.warnings", "crawlers.scheduler.witness"}
# How the parts of a traceback begin that say where it was, and not what it was.
_BETWEEN = ("Traceback (", "  File ", "  [Previous", "\nThe above exception", "\nDuring handling of", "  ")


class LogRecord(logging.LogRecord):
    """One whose message and traceback are printable."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info and self.exc_info[0] is not None:
            self.exc_text = _traceback(TracebackException(*self.exc_info))

    def getMessage(self) -> str:
        """Of several lines where it is Scrapy's own, else one."""
        message = super().getMessage()
        is_scrapys = self.name in _OF_SEVERAL_LINES
        return printable_lines(message) if is_scrapys else printable(message)


def print_lines_only() -> None:
    """From now on all records are such."""
    if logging.getLogRecordFactory() is logging.LogRecord:
        logging.setLogRecordFactory(LogRecord)


def _traceback(error: TracebackException) -> str:
    """Only what an exception says of itself is foreign."""
    blocks = (
        printable_lines(block) if block.startswith(_BETWEEN) else f"{printable(block.rstrip(chr(10)))}\n"
        for block in error.format()
    )
    return "".join(blocks).rstrip("\n")
