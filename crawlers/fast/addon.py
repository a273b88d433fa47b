"""One setting for all of it."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

from scrapy.settings import SETTINGS_PRIORITIES

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

logger = logging.getLogger(__name__)

UVLOOP = "uvloop.Loop"
HANDLER = "crawlers.fast.handler.FastHandler"
_PACKAGES = {
    "uvloop": "the event loop is asyncio's",
    "aiohttp": "Twisted downloads",
}


class FastAddon:
    """A Scrapy add-on that does nothing but with `FAST_PROFILE`; then, where the package is installed,

    - uvloop is the event loop; for this the setting must be the project's or the command's, for a spider's
      own settings are read when the loop runs already;
    - aiohttp downloads, but for what goes through a proxy or has a `bindaddress`.

    Always, `DOWNLOADER_STATS` are off: requests, answers and bytes are no longer counted by kind.
    Settings that say otherwise for themselves are left alone, be it the user's or the spider's.
    """

    @classmethod
    def update_pre_crawler_settings(cls, settings: BaseSettings) -> None:
        """Scrapy's call before there is an event loop."""
        if settings.getbool("FAST_PROFILE") and find_spec("uvloop"):
            settings.set("ASYNCIO_EVENT_LOOP", UVLOOP, "addon")

    def update_settings(self, settings: BaseSettings) -> None:
        """Scrapy's call for each crawler."""
        if not settings.getbool("FAST_PROFILE"):
            return
        settings.set("DOWNLOADER_STATS", False, "addon")
        if find_spec("aiohttp"):
            _set_handlers(settings)
        missing = {name: instead for name, instead in _PACKAGES.items() if not find_spec(name)}
        if find_spec("uvloop") and settings["ASYNCIO_EVENT_LOOP"] != UVLOOP:
            missing["uvloop"] = "the event loop is the one of ASYNCIO_EVENT_LOOP"
        if missing:
            text = "; ".join(f"without {name} {instead}" for name, instead in missing.items())
            logger.info("The fast profile in part: %s (pip install -r requirements-fast.txt)", text)
        else:
            logger.info("The fast profile: uvloop and aiohttp")


def _set_handlers(settings: BaseSettings) -> None:
    own = settings.getdict("DOWNLOAD_HANDLERS")
    priority = max(settings.getpriority("DOWNLOAD_HANDLERS") or 0, SETTINGS_PRIORITIES["addon"])
    settings.set("DOWNLOAD_HANDLERS", {"http": HANDLER, "https": HANDLER, **own}, priority)
