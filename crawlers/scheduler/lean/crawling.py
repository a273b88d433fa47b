"""The engine: one task for a page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from scrapy import Request, signals
from scrapy.core.engine import ExecutionEngine, logger
from scrapy.http import Response
from scrapy.utils.log import logformatter_adapter
from twisted.python.failure import Failure

from .scraping import Scraper

if TYPE_CHECKING:
    from scrapy.core.engine import _Slot

_under_way: set[asyncio.Task[None]] = set()
"""The loop itself keeps tasks by weak references."""


class Engine(ExecutionEngine):
    """Scrapy's, with plain coroutines in place of Deferreds on a page's way."""

    scraper: Scraper

    def _start_scheduled_request(self) -> bool:
        slot = self._slot
        assert slot is not None
        request = slot.scheduler.next_request()
        if request is None:
            self.signals.send_catch_log(signals.scheduler_empty)
            return False
        slot.add_request(request)
        self.downloader.active.add(request)
        task = asyncio.get_running_loop().create_task(self._take(request, slot))
        _under_way.add(task)
        task.add_done_callback(_under_way.discard)
        return True

    async def _take(self, request: Request, slot: _Slot) -> None:
        """Takes `request` from here to its end."""
        try:
            result = await self._fetch(request)
            slot.nextcall.schedule()
            if isinstance(result, Request):
                self._handle_downloader_output(result, request)
            else:
                await self.scraper.scrape(result, request)
        except Exception:
            logger.error("Error while crawling %s", request, exc_info=True, extra={"spider": self.spider})
        finally:
            slot.remove_request(request)
            slot.nextcall.schedule()

    async def _fetch(self, request: Request) -> Response | Request | Failure:
        """What the downloader makes of `request`. It has left the downloader at the very moment when this
        returns, so that it is never in neither of downloader and scraper.
        """
        downloader = self.downloader
        result: Response | Request | Failure
        try:
            result = await downloader.middleware.download_async(downloader._enqueue_request, request)
        except Exception:
            result = Failure()  # type: ignore[no-untyped-call]
        finally:
            downloader.active.remove(request)
        if isinstance(result, Response):
            self._received(request, result)
        return result

    def _received(self, request: Request, response: Response) -> None:
        spider = self.spider
        assert spider is not None
        if response.request is None:
            response.request = request
        entry = self.logformatter.crawled(response.request, response, spider)
        if entry is not None:
            logger.log(*logformatter_adapter(entry), extra={"spider": spider})
        received = signals.response_received
        self.signals.send_catch_log(
            signal=received, response=response, request=response.request, spider=spider
        )
