"""`scrapy runspider`, with an exit status that tells how the crawl ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.commands.runspider import Command as ScrapysCommand

from .ending import Ending

if TYPE_CHECKING:
    import argparse

    from scrapy import Spider
    from scrapy.crawler import Crawler


class Command(ScrapysCommand):
    """Scrapy's, but for the exit status."""

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Runs the spider."""
        super().run(args, opts)
        self.exitcode = self.exitcode or self._ending.status()

    def _create_crawler(self, spidercls: type[Spider] | str) -> Crawler:
        crawler = super()._create_crawler(spidercls)
        self._ending = Ending(crawler)
        return crawler
