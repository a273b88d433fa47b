"""An existing crawl of stock scrapy-redis, moved into the frontier.

Its queue holds pickles, which can run code when they are opened: `pickles` opens those only that can't be
anything but data. Its seen URLs are digests of scrapy-redis' own, from which no URL can be had back: they
are taken over as they are, and the crawl's workers make the same digests with

    REQUEST_FINGERPRINTER_CLASS = "crawlers.migration.ScrapyRedisFingerprinter"
"""

from .fingerprint import ScrapyRedisFingerprinter
from .pickles import RefusedPickle, open_pickle
from .requests import queued_of
from .stock import Moved, StockCrawl

__all__ = [
    "Moved",
    "RefusedPickle",
    "ScrapyRedisFingerprinter",
    "StockCrawl",
    "open_pickle",
    "queued_of",
]
