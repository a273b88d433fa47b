"""What the frontier needs of Scrapy's components, put in wherever a spider's own settings name others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from scrapy.downloadermiddlewares.cookies import CookiesMiddleware
from scrapy.downloadermiddlewares.redirect import MetaRefreshMiddleware, RedirectMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.extensions.throttle import AutoThrottle
from scrapy.utils.log import configure_logging
from scrapy.utils.misc import load_object

from crawlers.options import BadSetting, check, ensure_all
from crawlers.redis_spiders import share_redis_settings

from .cookies import SharedCookies
from .development import is_development, stand_aside
from .lines import print_lines_only
from .quirks import Quirks
from .redirects import MetaRefresh, Redirects
from .robots import RobotsTxt
from .rotation import RotatingProxies, ThroughProxy
from .sieve import LinkSieve
from .start import StartOnce
from .turns import Turns

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings


logger = logging.getLogger(__name__)


class FrontierAddon:
    """A Scrapy add-on. `DOWNLOADER_MIDDLEWARES` of a spider's `custom_settings` replaces that of the project,
    and would take the delays away with it.
    """

    @classmethod
    def update_pre_crawler_settings(cls, settings: BaseSettings) -> None:
        """Scrapy's call before it makes a spider, of which scrapy-redis' classes make clients at once."""
        _stop_at_bad(settings)
        share_redis_settings()
        print_lines_only()

    def update_settings(self, settings: BaseSettings) -> None:
        """Scrapy's call. Who has given one of these a place, or None, is left alone."""
        _stop_at_bad(settings)
        if is_development():
            stand_aside(settings)
            return
        add = settings.setdefault_in_component_priority_dict
        add("SPIDER_MIDDLEWARES", StartOnce, 10)
        add("SPIDER_MIDDLEWARES", LinkSieve, 2000)  # next to the spider: Scrapy's own come up to 1000
        add("DOWNLOADER_MIDDLEWARES", RobotsTxtMiddleware, None)
        add("DOWNLOADER_MIDDLEWARES", RobotsTxt, 100)
        _replace(settings, MetaRefreshMiddleware, MetaRefresh, 580)
        add("DOWNLOADER_MIDDLEWARES", Quirks, 585)  # HttpCompressionMiddleware, which decodes, is at 590
        _replace(settings, RedirectMiddleware, Redirects, 600)
        add("DOWNLOADER_MIDDLEWARES", CookiesMiddleware, None)
        add("DOWNLOADER_MIDDLEWARES", SharedCookies, 700)
        add("DOWNLOADER_MIDDLEWARES", RotatingProxies, 990)
        add("DOWNLOADER_MIDDLEWARES", Turns, 1000)
        add("DOWNLOADER_MIDDLEWARES", ThroughProxy, 1010)
        add("EXTENSIONS", AutoThrottle, None)


def _stop_at_bad(settings: BaseSettings) -> None:
    """Ends the process with a sentence for each setting that can't be used, before any is read."""
    try:
        ensure_all(settings)
    except BadSetting as error:
        if not logging.root.handlers:  # Scrapy sets its log up later
            configure_logging(_of_the_log(settings))
        logger.critical("%s", error)
        raise SystemExit(1) from None


def _of_the_log(settings: BaseSettings) -> dict[str, Any]:
    """Where and how to log, as far as that can be used."""
    wrong = {sentence.partition(" ")[0] for sentence in check(settings)} | {"LOG_ENABLED"}
    return {name: settings[name] for name in settings if str(name).startswith("LOG_") and name not in wrong}


def _replace(settings: BaseSettings, scrapys: type, ours: type, place: int) -> None:
    """Puts `ours` where Scrapy has `scrapys`, unless somebody has given that a place, or None."""
    named = settings.getdict("DOWNLOADER_MIDDLEWARES")
    if not any(load_object(each) is scrapys for each in named):
        settings.setdefault_in_component_priority_dict("DOWNLOADER_MIDDLEWARES", scrapys, None)
        settings.setdefault_in_component_priority_dict("DOWNLOADER_MIDDLEWARES", ours, place)
