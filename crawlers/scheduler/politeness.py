"""What hosts are owed. The frontier keeps delays and limits over the whole fleet; a worker keeps none."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from scrapy import signals
from scrapy.core.downloader import Downloader as ScrapyDownloader

from crawlers.frontier import MOST_MS, HostPolicy, within

if TYPE_CHECKING:
    from typing import Any

    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.settings import BaseSettings

    from .inside import Guard

_UNLIMITED = 1_000_000


def host_policies(settings: BaseSettings) -> dict[str, HostPolicy]:
    """`DOWNLOAD_SLOTS` by host; what a slot leaves out is as for all hosts."""
    delay_s = settings.getfloat("DOWNLOAD_DELAY")
    limit = settings.getint("CONCURRENT_REQUESTS_PER_DOMAIN")
    usual = jitter(settings)
    return {
        host: HostPolicy(
            delay_ms=within(round(float(slot.get("delay", delay_s)) * 1000), 0, MOST_MS),
            limit=within(int(slot.get("concurrency", limit)), 0, _UNLIMITED),
            jitter=_percent(_slot_jitter(slot, usual / 100)),
        )
        for host, slot in settings.getdict("DOWNLOAD_SLOTS").items()
    }


def jitter(settings: BaseSettings) -> int:
    """By how many percent a delay varies: `DOWNLOAD_DELAY_JITTER`, or where that isn't set the older
    `RANDOMIZE_DOWNLOAD_DELAY`, whose True means 50.
    """
    older, newer = "RANDOMIZE_DOWNLOAD_DELAY", "DOWNLOAD_DELAY_JITTER"
    if (settings.getpriority(older) or 0) > (settings.getpriority(newer) or 0):
        return 50 if settings.getbool(older) else 0
    return _percent(settings.getfloat(newer))


def _slot_jitter(slot: dict[str, Any], usual: float) -> float:
    if "jitter" in slot:
        return float(slot["jitter"])
    return 0.5 * bool(slot["randomize_delay"]) if "randomize_delay" in slot else usual


def _percent(share: float) -> int:
    return max(0, round(share * 100))


class Downloader(ScrapyDownloader):
    """Scrapy's downloader without delays and limits of its own for a host.

    A request that was leased may start at once. A second delay here would move it away from the moment
    at which the frontier let it go, and closer to the next worker's request to the same host.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self.guard: Guard | None = None
        """Says where requests may go; without, as with a scheduler of Scrapy's, anywhere."""
        self._delay = 0.0
        self._jitter = 0.0
        self.domain_concurrency = _UNLIMITED
        self.ip_concurrency = 0
        self.per_slot_settings = {}

    async def _enqueue_request(self, request: Request) -> Response:
        """Sends `request` now: where nothing has to wait there is no queue, and no task for what is in it."""
        key = self.get_slot_key(request)
        slot = self.slots.get(key) or self._get_slot(request)[1]
        slot.lastseen = monotonic()
        request.meta[self.DOWNLOAD_SLOT] = key
        slot.active.add(request)
        slot.transferring.add(request)
        try:
            self._say(signals.request_reached_downloader, request)
            download = self.handlers.download_request_async
            response = await (self.guard.fetch(request, download) if self.guard else download(request))
            self._say(signals.response_downloaded, request, response=response)
            return response
        except Exception:
            await asyncio.sleep(0)  # others first, where downloads fail at once
            raise
        finally:
            slot.transferring.remove(request)
            slot.active.remove(request)
            self._say(signals.request_left_downloader, request)

    def _say(self, signal: object, request: Request, **more: Any) -> None:
        self.signals.send_catch_log(signal=signal, request=request, spider=self.crawler.spider, **more)
