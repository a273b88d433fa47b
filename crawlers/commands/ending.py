"""How a crawl ended, as an exit status: 0 for an end that was wanted, 1 for every other.

| end | status |
| --- | --- |
| `finished` | 0 |
| one SIGINT or SIGTERM (`shutdown`) | 0 |
| `CloseSpider`, raised by the spider or a handler of a signal, with any reason | 0 |
| a limit of the extension CloseSpider (`closespider_…`) | 0 |
| `start_error`: the spider's start raised | 1 |
| `frontier_error`, `frontier_lost`, `memusage_exceeded`, and any other reason | 1 |
| the last exchange with Redis did not end, or closing failed | 1 |
| an error of Scrapy's engine, which closes as on a signal, without one | 1 |
| a second SIGINT or SIGTERM | 1 |
| a setting, argument or server that can't be used | 1 |
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from scrapy import signals
from scrapy.exceptions import CloseSpider

from crawlers.failures import failure_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Coroutine

    from scrapy import Spider
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

_WANTED = "finished"
_SIGNALLED = "shutdown"
_LIMITS = "closespider_"


class Ending:
    """Watches one crawler from before its start. Scrapy's own commands end with 0 whatever the reason."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._is_open = self._is_idle = self._is_asked = False
        self._reason: str | None = None
        self._is_stopped = False
        crawler.signals.connect(self._opened, signals.spider_opened)
        crawler.signals.connect(self._closed, signals.spider_closed)

    def status(self) -> int:
        """The exit status, and a line of the log that says why where it isn't 0."""
        why = self._why()
        if why is not None:
            logger.error("This crawl did not end as it should: %s. Exit status 1", why)
        return 0 if why is None else 1

    def _why(self) -> str | None:
        if self._reason is None:
            stopped_early = not self._is_open and not self._crawler.crawling
            return None if stopped_early else "it was stopped before its spider could be closed"
        if failure := failure_of(self._crawler):
            return failure
        if self._is_asked or self._reason == _WANTED or self._reason.startswith(_LIMITS):
            return None
        if self._reason == _SIGNALLED:
            return None if self._is_stopped else "Scrapy's engine failed, see the log"
        return f"the spider was closed with the reason {self._reason!r}"

    def _opened(self) -> None:
        """From here on Scrapy's engine is there, and has closed nothing yet."""
        self._is_open = True
        engine: Any = self._crawler.engine
        close, idle = engine.close_spider_async, engine._spider_idle

        def close_spider_async(*, reason: str = "cancelled") -> Coroutine[Any, Any, None]:
            # Scrapy closes while it handles the exception, or asks the handlers of spider_idle for one.
            if not self._is_asked and engine._slot is not None and engine._slot.closing is None:
                by_handler = self._is_idle and reason not in (_WANTED, "start_error")
                self._is_asked = by_handler or isinstance(sys.exc_info()[1], CloseSpider)
            closing: Coroutine[Any, Any, None] = close(reason=reason)
            return closing

        def spider_idle() -> None:
            self._is_idle = True
            try:
                idle()
            finally:
                self._is_idle = False

        engine.close_spider_async, engine._spider_idle = close_spider_async, spider_idle

    def _closed(self, reason: str) -> None:
        # Crawler.stop, which signals call, sets it before the engine closes; the engine by itself does not.
        self._reason, self._is_stopped = str(reason), not self._crawler.crawling


class TellsEnding:
    """What goes before a command of Scrapy's that runs a spider, for the exit status. It is no command
    itself, for Scrapy would offer it as one.
    """

    exitcode: int

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Runs the spider."""
        super().run(args, opts)  # type: ignore[misc]
        self.exitcode = self.exitcode or self._ending.status()

    def _create_crawler(self, spidercls: type[Spider] | str) -> Crawler:
        crawler: Crawler = super()._create_crawler(spidercls)  # type: ignore[misc]
        self._ending = Ending(crawler)
        return crawler
