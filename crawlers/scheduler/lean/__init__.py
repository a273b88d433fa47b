"""Scrapy's engine, downloader and scraper in fewer steps: what comes out of them is the same.

For each page Scrapy starts eight tasks, wraps each call of a middleware into a coroutine and each
output of a callback into a chain of async generators. Here a page is one task from lease to completion.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scrapy import version_info
from scrapy.core.downloader import Downloader
from scrapy.core.downloader.middleware import DownloaderMiddlewareManager
from scrapy.core.engine import ExecutionEngine
from scrapy.core.scraper import Scraper as ScrapyScraper
from scrapy.signalmanager import SignalManager

from .crawling import Engine
from .middlewares import Middlewares
from .scraping import Scraper
from .signals import Signals

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

__all__ = ["make_lean"]

logger = logging.getLogger(__name__)

# What is replaced is no documented API: another version may take other steps.
MADE_FOR = (2, 19)


def make_lean(crawler: Crawler) -> None:
    """From now on `crawler` takes fewer steps. To be called when its scheduler is opened.

    What isn't Scrapy's own class but somebody's subclass stays as it is; so does all of another version of
    Scrapy than the one that this was made for.
    """
    if version_info[:2] != MADE_FOR:
        logger.info("This Scrapy isn't %d.%d: pages take all of its steps", *MADE_FOR)
        return
    engine = crawler.engine
    assert engine is not None
    if type(engine.downloader.middleware) is DownloaderMiddlewareManager:
        engine.downloader.middleware.__class__ = Middlewares
    if type(crawler.signals) is SignalManager:
        crawler.signals.__class__ = Signals
    fetches = type(engine.downloader).fetch is Downloader.fetch
    if fetches and type(engine) is ExecutionEngine and type(engine.scraper) is ScrapyScraper:
        engine.__class__ = Engine
        engine.scraper.__class__ = Scraper
    else:
        logger.info("Engine, scraper or Downloader.fetch isn't Scrapy's own: pages take all of its steps")
