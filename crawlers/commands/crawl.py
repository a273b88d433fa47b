"""`scrapy crawl`, with an exit status that tells how the crawl ended."""

from __future__ import annotations

from scrapy.commands.crawl import Command as ScrapysCommand

from .ending import TellsEnding


class Command(TellsEnding, ScrapysCommand):
    """Scrapy's, but for the exit status."""
