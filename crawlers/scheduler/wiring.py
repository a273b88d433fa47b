"""What a spider's own settings may have taken away from the project's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.settings import SETTINGS_PRIORITIES
from scrapy.utils.misc import load_object

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

_ADDON = "crawlers.scheduler.FrontierAddon"
_STORE = "crawlers.pipelines.MongoPipeline"


def lacks_addon(crawler: Crawler) -> str:
    """What to say where the add-on of the frontier is not there."""
    return f"ADDONS of {_whose(crawler, 'ADDONS')} lacks {_ADDON}; add it"


def lacks_store(crawler: Crawler) -> str | None:
    """What to say where `custom_settings` of the spider has taken the place of pipelines with a store."""
    settings = crawler.settings
    if settings.getpriority("ITEM_PIPELINES") != SETTINGS_PRIORITIES["spider"] or has_store(settings):
        return None
    return (
        f"ITEM_PIPELINES of {_whose(crawler, 'ITEM_PIPELINES')} lacks {_STORE}: its items are not in MongoDB,"
        " and a page counts as done when the pipelines that are there have returned"
    )


def store_of(crawler: Crawler) -> Any:
    """The pipeline that stores items in MongoDB, None where there is none."""
    return crawler.get_item_pipeline(load_object(_STORE))


def has_store(settings: BaseSettings) -> bool:
    """Whether items go to MongoDB."""
    paths = [path for path, order in settings.getdict("ITEM_PIPELINES").items() if order is not None]
    store = load_object(_STORE)
    return any(
        isinstance(pipeline, type) and issubclass(pipeline, store) for pipeline in map(load_object, paths)
    )


def _whose(crawler: Crawler, name: str) -> str:
    """Whose setting `name` it is, for a sentence."""
    if crawler.settings.getpriority(name) == SETTINGS_PRIORITIES["spider"]:
        return f"the spider {crawler.spidercls.name}"
    return "the project"
