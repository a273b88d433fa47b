"""What hosts are owed. The frontier keeps delays and limits over the whole fleet; a worker keeps none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.core.downloader import Downloader as ScrapyDownloader
from scrapy.utils.httpobj import urlparse_cached

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

_UNLIMITED = 1_000_000


def host_of(request: Request) -> str:
    """The host under which `request` is queued: its name without a port, as Scrapy's own slots are.

    URLs without a host (``data:``, ``file:``) are queued under their scheme.
    """
    url = urlparse_cached(request)
    return url.hostname or url.scheme


def host_policies(settings: BaseSettings) -> dict[str, tuple[int, int]]:
    """`DOWNLOAD_SLOTS` as ``{host: (delay_ms, limit)}``; what a slot leaves out is as for all hosts."""
    delay_s = settings.getfloat("DOWNLOAD_DELAY")
    limit = settings.getint("CONCURRENT_REQUESTS_PER_DOMAIN")
    return {
        host: (round(float(slot.get("delay", delay_s)) * 1000), int(slot.get("concurrency", limit)))
        for host, slot in settings.getdict("DOWNLOAD_SLOTS").items()
    }


class Downloader(ScrapyDownloader):
    """Scrapy's downloader without delays and limits of its own for a host.

    A request that was leased may start at once. A second delay here would move it away from the moment
    at which the frontier let it go, and closer to the next worker's request to the same host.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._delay = 0.0
        self._jitter = 0.0
        self.domain_concurrency = _UNLIMITED
        self.ip_concurrency = 0
        self.per_slot_settings = {}
