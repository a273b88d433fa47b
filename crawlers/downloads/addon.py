"""Puts the parts in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.settings import SETTINGS_PRIORITIES

from .compression import HttpCompression

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

HANDLER = "crawlers.downloads.handler.Handler"


class DownloadsAddon:
    """A Scrapy add-on. Whoever has given one of these another place, or has handlers of their own,
    is left alone.
    """

    def update_settings(self, settings: BaseSettings) -> None:
        """Scrapy's call."""
        add = settings.setdefault_in_component_priority_dict
        add("DOWNLOADER_MIDDLEWARES", HttpCompressionMiddleware, None)
        add("DOWNLOADER_MIDDLEWARES", HttpCompression, 590)
        handlers = settings.getdict("DOWNLOAD_HANDLERS")
        for scheme in ("http", "https"):
            handlers.setdefault(scheme, HANDLER)
        priority = max(settings.getpriority("DOWNLOAD_HANDLERS") or 0, SETTINGS_PRIORITIES["addon"])
        settings.set("DOWNLOAD_HANDLERS", handlers, priority)
