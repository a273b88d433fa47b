"""crawlee's crawler for HTTP with parsel, its storage in memory: `python crawlee_crawl.py URL`."""

from __future__ import annotations

import asyncio
import logging
import sys

from crawlee import ConcurrencySettings
from crawlee.crawlers import ParselCrawler, ParselCrawlingContext
from crawlee.storage_clients import MemoryStorageClient


async def main(url: str) -> None:
    """Crawls all that can be reached."""
    crawler = ParselCrawler(
        storage_client=MemoryStorageClient(),
        concurrency_settings=ConcurrencySettings(
            min_concurrency=32, desired_concurrency=32, max_concurrency=32
        ),
        configure_logging=False,
    )

    @crawler.router.default_handler
    async def parse(context: ParselCrawlingContext) -> None:
        body = await context.http_response.read()
        await context.push_data({"_id": context.request.url, "bytes": len(body)})
        await context.enqueue_links(selector="a")

    await crawler.run([url])


logging.basicConfig(level=logging.WARNING)
asyncio.run(main(sys.argv[1]))
