"""Settings of Scrapy's and scrapy-redis' schedulers that mean nothing here: each is named once, or refused.

One that only says how requests are kept is ignored with a line of the log. One that names a class of the
user's is refused: what that class does would silently not be done.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scrapy.settings import SETTINGS_PRIORITIES

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

logger = logging.getLogger(__name__)

_ORDER = "requests of a host go by priority, then by age; FRONTIER_ORDER orders hosts"
_SEEN = "the frontier keeps what was seen; see dont_filter, and REQUEST_FINGERPRINTER_CLASS"
_KEYS = "keys are named after the crawl: -a crawl=NAME"
_KEPT = "requests are msgpack in Redis"
_TYPE = "the type of the key is found out"
IGNORED: dict[str, str] = {
    "SCHEDULER_QUEUE_CLASS": _ORDER,
    "SCHEDULER_PRIORITY_QUEUE": _ORDER,
    "SCHEDULER_MEMORY_QUEUE": _ORDER,
    "SCHEDULER_DISK_QUEUE": _ORDER,
    "SCHEDULER_START_MEMORY_QUEUE": _ORDER,
    "SCHEDULER_START_DISK_QUEUE": _ORDER,
    "SCHEDULER_DUPEFILTER_CLASS": _SEEN,
    "DUPEFILTER_CLASS": _SEEN,
    "DUPEFILTER_DEBUG": "scrapy frontier where URL says what became of a URL",
    "SCHEDULER_DEBUG": "a request that can't be queued becomes a dead letter: scrapy frontier dead",
    "SCHEDULER_SERIALIZER": _KEPT,
    "JOBDIR": "a crawl is kept in Redis, and goes on where it was",
    "SCHEDULER_QUEUE_KEY": _KEYS,
    "SCHEDULER_DUPEFILTER_KEY": _KEYS,
    "SCHEDULER_IDLE_BEFORE_CLOSE": "set MAX_IDLE_TIME_BEFORE_CLOSE",
    "REDIS_START_URLS_AS_SET": _TYPE,
    "REDIS_START_URLS_AS_ZSET": _TYPE,
    "REDIS_START_URLS_BATCH_SIZE": "entries are claimed as fast as they can be queued",
    "CONCURRENT_REQUESTS_PER_IP": 'set CONCURRENT_REQUESTS_PER_DOMAIN, and FRONTIER_HOST_KEY = "ip"',
}
"""What means nothing here, and what to do or know instead."""

_THEIRS = ("scrapy.", "scrapy_redis.")
"""Who comes with these only keeps requests in another way."""


def ignored(settings: BaseSettings) -> tuple[list[str], list[str]]:
    """A sentence for each setting that is set and ignored, and one for each that has to be refused."""
    named, refused = [], []
    for name, instead in IGNORED.items():
        if (settings.getpriority(name) or 0) <= SETTINGS_PRIORITIES["default"]:
            continue
        value = settings.get(name)
        if value in (None, "", False):
            continue
        if name.endswith(("_CLASS", "_SERIALIZER", "_QUEUE")) and not _is_theirs(value):
            refused.append(f"{name} = {_path(value)} can't be used on the frontier; remove it: {instead}")
        else:
            named.append(f"{name} is ignored: {instead}")
    return named, refused


def _path(value: object) -> str:
    return f"{value.__module__}.{value.__qualname__}" if isinstance(value, type) else str(value)


def _is_theirs(value: object) -> bool:
    path = _path(value)
    # scrapy-redis takes the names of modules for serializers
    return path.startswith(_THEIRS) or path in ("pickle", "json", "msgpack")
