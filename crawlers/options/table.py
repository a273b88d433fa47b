"""The table of settings: ours with default and meaning, and what Scrapy's may be.

Units stand in the names: `_S` seconds, `_BYTES`. What each costs and why it has its default stands beside
it in `crawlers/settings.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from scrapy import Request
from scrapy.settings import default_settings

from crawlers.pushed import STEERING

from .kinds import (
    Classes,
    Encoding,
    Flag,
    Kind,
    Level,
    Map,
    Networks,
    NewFile,
    Number,
    Pattern,
    Statuses,
    Text,
    Word,
    Words,
    WriteConcern,
    whole,
)

DAY_S = 86_400
YEARS_S = 315_360_000  # ten of them: as good as for ever, and exact in any clock
_MANY = 100_000
_MOST_BYTES = 512 * 1024**2  # a string of Redis, by its proto-max-bulk-len
_MOST_LINKS = 10**12


def _seconds(least: float, most: float = YEARS_S) -> Number:
    return Number(least, most, "seconds")


class Setting(NamedTuple):
    """One row: what it may be, its default, what it means."""

    kind: Kind
    default: Any
    meaning: str


OURS: dict[str, Setting] = {
    # Redis: the frontier
    "REDIS_URL": Setting(
        Text(optional=True, secret=True),
        None,
        "where Redis is: redis, rediss, unix, redis+sentinel, +cluster",
    ),
    "REDIS_HOST": Setting(Text(optional=True), None, "its host, where there is no REDIS_URL"),
    "REDIS_PORT": Setting(whole(0, 65535), 0, "its port; 0: 6379"),
    "REDIS_DB": Setting(whole(0, 2**31 - 1), 0, "its database; 0: that of REDIS_PARAMS"),
    "REDIS_PARAMS": Setting(Map(secret=True), {}, "keyword arguments of redis-py's client"),
    "REDIS_START_URLS_KEY": Setting(Pattern("name", optional=True), None, "the list of start URLs"),
    "SCHEDULER_PERSIST": Setting(Flag(), False, "the next run skips what a finished one has seen"),
    "SCHEDULER_FLUSH_ON_START": Setting(
        Flag(), False, "the first worker drops what an interrupted crawl left"
    ),
    "MAX_IDLE_TIME_BEFORE_CLOSE": Setting(_seconds(0), 0, "how long to wait for more to crawl; 0: for ever"),
    "FRONTIER_LEASE_TTL_S": Setting(
        _seconds(0.1, DAY_S), 20, "after which a silent worker is taken for dead"
    ),
    "FRONTIER_CALLBACK_LIMIT_S": Setting(_seconds(0), 900, "how long a callback may block; 0: no limit"),
    "FRONTIER_UNKNOWN_WAIT_S": Setting(_seconds(0), 300, "how long a request waits for a newer worker"),
    "FRONTIER_QUIET_S": Setting(_seconds(0), 10, "after which it is said what a crawl waits for; 0: never"),
    "PAGES_LOOP_BYTES": Setting(whole(0, 2**62, "bytes"), 1_000_000, "of a page that the loop parses itself"),
    "PAGES_MAX_PARSED_BYTES": Setting(
        whole(0, 2**62, "bytes"), 8_000_000, "of HTML that the spider pages parses; 0: no limit"
    ),
    "FRONTIER_DEAD_LETTERS": Setting(whole(0, _MOST_LINKS), 100_000, "of a crawl that stay in Redis; 0: all"),
    "FRONTIER_REPLICAS": Setting(whole(0, 100), 0, "of Redis that must have what a worker hands in; 0: none"),
    "FRONTIER_MAX_ATTEMPTS": Setting(whole(1, 1000), 3, "how often a page is tried that fails"),
    "FRONTIER_PREFETCH": Setting(
        whole(0, _MANY), 0, "requests that wait in a worker; 0: CONCURRENT_REQUESTS"
    ),
    "FRONTIER_MAX_REQUEST_BYTES": Setting(
        whole(1, _MOST_BYTES, "bytes"), 512 * 1024, "of one queued request"
    ),
    "FRONTIER_QUEUED_IN_REDIS": Setting(whole(0, _MOST_LINKS), 1_000_000, "others wait in MongoDB; 0: none"),
    "FRONTIER_QUEUE_CHUNK": Setting(whole(10, _MANY), 1000, "requests that move to MongoDB at a time"),
    "FRONTIER_PATIENCE_S": Setting(
        _seconds(0), 15, "how long to wait for Redis at start and end; 0: not at all"
    ),
    "FRONTIER_REQUEST_CLASSES": Setting(Classes(Request), [], "request classes that may be queued"),
    "FRONTIER_OTHER_JOBS": Setting(
        Word(("warn", "refuse")), "warn", "what becomes of a worker that was started otherwise"
    ),
    "FRONTIER_SEEN": Setting(Word(("exact", "small")), "exact", "what is kept of URLs that were seen"),
    "FRONTIER_DROP_EARLY": Setting(Word(("auto",), flags=True), "auto", "seen links end next to the spider"),
    "FRONTIER_LEAN": Setting(Flag(), True, "a page is one task"),
    "FRONTIER_STOCK_MESSAGES": Setting(Flag(), False, "headers, cookies and body of a message are form data"),
    "FRONTIER_PUSHED_META": Setting(Words(tuple(STEERING)), [], "meta by which messages may steer"),
    "FRONTIER_INSIDE_NETWORKS": Setting(Networks(), [], "networks inside to which pages may lead"),
    "FRONTIER_COOKIES": Setting(Word(("shared", "worker")), "shared", "whose cookies are sent"),
    "FRONTIER_PAGE_RETURNS": Setting(
        whole(0, 1000), 5, "how often redirects lead a page to itself; 0: never"
    ),
    # MongoDB: the items
    "MONGO_URI": Setting(Text(secret=True), "mongodb://127.0.0.1:27017", "the server or replica set"),
    "MONGO_DATABASE": Setting(Text(), "crawlers", "the database of items and of queues too long for Redis"),
    "MONGO_WRITE_CONCERN": Setting(WriteConcern(), "majority", "which servers must have an item"),
    "MONGO_JOURNAL": Setting(Flag(), True, "whether it must be on their disks"),
    "MONGO_TIMEOUT_S": Setting(_seconds(0.001, DAY_S), 10, "of one attempt to store"),
    "MONGO_PATIENCE_S": Setting(_seconds(0), 15, "how long to wait for MongoDB at start; 0: one attempt"),
    # Sites
    "FRONTIER_HOST_KEY": Setting(Word(("host", "domain", "ip")), "host", "what shares a delay"),
    "FRONTIER_ORDER": Setting(Word(("hosts", "priority")), "hosts", "what priorities hold over"),
    "FRONTIER_ROBOTS_TTL_S": Setting(_seconds(0.001), DAY_S, "for which a robots.txt is good"),
    "FRONTIER_ROBOTS_BYTES": Setting(
        whole(0, 2**50, "bytes"), 64 * 1024**2, "of all that are kept; 0: an eighth of Redis"
    ),
    "FRONTIER_CRAWL_DELAY_MAX_S": Setting(
        _seconds(0), 300, "the longest Crawl-delay that is kept; 0: no limit"
    ),
    "FRONTIER_HOST_PAGES": Setting(whole(0, _MOST_LINKS), 0, "most links of a host in a run; 0: no limit"),
    "FRONTIER_BACK_OFF_STATUS": Setting(Statuses(), [429, 503], "answers that put a host to sleep"),
    "FRONTIER_BACK_OFF_S": Setting(_seconds(0), 1, "for how long at first, without Retry-After"),
    "FRONTIER_BACK_OFF_MAX_S": Setting(_seconds(0), 300, "for how long at most"),
    "FRONTIER_PAGE_WAITS": Setting(whole(0, _MANY), 5, "how often such a page goes back; 0: never"),
    "FRONTIER_HOST_STRIKES": Setting(
        whole(0, _MANY), 10, "failures in a row that set a host aside; 0: never"
    ),
    "FRONTIER_HOST_REST_S": Setting(_seconds(0), 3600, "for how long"),
    "FRONTIER_HOST_RESTS": Setting(whole(0, _MANY), 1, "how often, before its pages become dead letters"),
    "FRONTIER_PROXIES": Setting(Text(), "", "a file of proxies, or redis:KEY; empty: none"),
    "FRONTIER_POLITE_PER_PROXY": Setting(Flag(), False, "a host's delay holds for each proxy apart"),
    "DOWNLOAD_MAX_RATIO": Setting(whole(0, 2**31), 400, "bytes decoded for one received; 0: no limit"),
    "DOWNLOAD_MAX_HEADER_BYTES": Setting(whole(0, 2**31, "bytes"), 64 * 1024, "of headers; 0: no limit"),
    "DOWNLOAD_MAX_HEADERS": Setting(whole(0, 2**31), 1000, "lines of headers; 0: no limit"),
    "DOWNLOAD_HELD_BYTES": Setting(whole(0, 2**62, "bytes"), 64 * 1024**2, "of large bodies; 0: no limit"),
    "FAST_PROFILE": Setting(Flag(), False, "uvloop and aiohttp, where they are installed"),
}
"""What this project has of its own, or of scrapy-redis."""

# Of scrapy-redis, with or without a meaning here: no misspelt ones.
THEIRS = frozenset({
    "REDIS_ENCODING", "REDIS_DECODE_RESPONSES", "REDIS_ITEMS_KEY", "REDIS_ITEMS_SERIALIZER", "REDIS_USER",
    "REDIS_START_URLS_AS_SET", "REDIS_START_URLS_AS_ZSET", "REDIS_START_URLS_BATCH_SIZE",
    "REDIS_CONCURRENT_REQUESTS", "REDIS_CLS", "REDIS_PASSWORD",
})  # fmt: skip

_SLOT: tuple[tuple[str, Kind], ...] = (
    ("delay", _seconds(0)),
    ("concurrency", whole(1, _MANY)),
    ("jitter", Number(0, 1)),
    ("randomize_delay", Flag()),
)
_COUNT = whole(0, _MOST_LINKS)
_NARROWER: dict[str, Kind] = {
    # Scrapy fails on every page, or waits for ever, with 0 of these.
    "CONCURRENT_ITEMS": whole(1, _MANY),
    "CONCURRENT_REQUESTS": whole(1, _MANY),
    "CONCURRENT_REQUESTS_PER_DOMAIN": whole(1, _MANY),
    "REACTOR_THREADPOOL_MAXSIZE": whole(1, 10_000),
    "SCRAPER_SLOT_MAX_ACTIVE_SIZE": whole(1, 2**62, "bytes"),
    "AUTOTHROTTLE_TARGET_CONCURRENCY": Number(0.001, _MANY),
    "AUTOTHROTTLE_START_DELAY": _seconds(0),
    "AUTOTHROTTLE_MAX_DELAY": _seconds(0),
    "DOWNLOAD_DELAY": _seconds(0),
    "DOWNLOAD_DELAY_JITTER": Number(0, 1),
    "DOWNLOAD_TIMEOUT": _seconds(0.001),
    "DNS_TIMEOUT": _seconds(0.001),
    "DOWNLOAD_MAXSIZE": whole(0, 2**62, "bytes"),
    "DOWNLOAD_WARNSIZE": whole(0, 2**62, "bytes"),
    "DOWNLOAD_SLOTS": Map(_SLOT),
    "RETRY_TIMES": whole(0, _MANY),
    "RETRY_HTTP_CODES": Statuses(),
    "RETRY_EXCEPTIONS": Classes(),
    "REDIRECT_MAX_TIMES": whole(0, _MANY),
    "DEPTH_LIMIT": _COUNT,
    "DEPTH_PRIORITY": whole(-_MANY, _MANY),
    "RETRY_PRIORITY_ADJUST": whole(-_MANY, _MANY),
    "REDIRECT_PRIORITY_ADJUST": whole(-_MANY, _MANY),
    "URLLENGTH_LIMIT": _COUNT,
    "CLOSESPIDER_TIMEOUT": _seconds(0),
    "CLOSESPIDER_TIMEOUT_NO_ITEM": whole(0, YEARS_S, "seconds"),
    "MEMUSAGE_CHECK_INTERVAL_SECONDS": _seconds(0.001),
    "LOGSTATS_INTERVAL": _seconds(0),
    "METAREFRESH_MAXDELAY": whole(0, YEARS_S, "seconds"),
    "HTTPCACHE_EXPIRATION_SECS": whole(-1, YEARS_S, "seconds"),
    "USER_AGENT": Text(optional=True),
    "LOG_LEVEL": Level(),
    "LOG_FILE": NewFile(),
    "LOG_ENCODING": Encoding(),
    "FEED_EXPORT_ENCODING": Encoding(),
    "HTTPPROXY_AUTH_ENCODING": Encoding(),
    "REQUEST_FINGERPRINTER_CLASS": Classes(one=True),
    "STATS_CLASS": Classes(one=True),
    "LOG_FORMATTER": Classes(one=True),
    "SCHEDULER": Classes(one=True),
    "DOWNLOADER": Classes(one=True),
}
_LEFT_ALONE = {"FEED_EXPORT_INDENT"}  # None has a meaning there


def _kind_of(name: str, default: object) -> Kind | None:
    """What a setting of Scrapy's may be, by its default where nothing narrower is known."""
    if name in _NARROWER:
        return _NARROWER[name]
    if isinstance(default, bool) or name == "TELNETCONSOLE_ENABLED":
        return Flag()
    if isinstance(default, (int, float)) and name not in _LEFT_ALONE:
        return Number(0, 2**62) if isinstance(default, float) else whole(0, 2**62)
    return None


SCRAPYS: dict[str, Kind] = {
    name: kind
    for name, default in vars(default_settings).items()
    if name.isupper() and (kind := _kind_of(name, default))
}
"""What Scrapy's own settings may be."""

KINDS: dict[str, Kind] = {**SCRAPYS, **{name: setting.kind for name, setting in OURS.items()}}
