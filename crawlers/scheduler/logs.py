"""Lines of the log that nobody would see are not written in the first place."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from scrapy.core.engine import logger as engine_logger
from scrapy.core.scraper import logger as scraper_logger
from scrapy.logformatter import LogFormatter as ScrapyLogFormatter

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.http import Response
    from scrapy.logformatter import LogFormatterResult
    from twisted.python.failure import Failure


def is_logged(logger: logging.Logger, level: int) -> bool:
    """Whether a handler takes what `logger` is told at `level`. Scrapy's loggers themselves let all pass, and
    a record is made of it before that is known.
    """
    at: logging.Logger | None = logger
    while at is not None:
        if any(handler.level <= level for handler in at.handlers):
            return logger.isEnabledFor(level)
        at = at.parent if at.propagate else None
    return False


class LogFormatter(ScrapyLogFormatter):
    """Scrapy's, whose lines for each page and each item are made where somebody reads them."""

    def crawled(  # type: ignore[override]  # Scrapy takes None for: nothing
        self, request: Request, response: Response, spider: Spider
    ) -> LogFormatterResult | None:
        """The line for a page."""
        return super().crawled(request, response, spider) if is_logged(engine_logger, logging.DEBUG) else None

    def scraped(  # type: ignore[override]
        self, item: Any, response: Response | Failure | None, spider: Spider
    ) -> LogFormatterResult | None:
        """The line for an item."""
        return super().scraped(item, response, spider) if is_logged(scraper_logger, logging.DEBUG) else None
