"""ROOM 3: Scrapy's scheduler API on one side, the frontier on the other.

`scheduler` only touches memory: an outbox and a buffer. `worker` carries both to the frontier and back,
one exchange at a time. `requests` turns requests into plain data, `completion` knows when a page is
done, `politeness` what hosts are owed; `turns` and `robots` keep to it, `manners` says what they saw.
`sieve` keeps links that were seen from coming here as requests at all; `lean` has Scrapy take fewer steps.
"""

from .addon import FrontierAddon
from .inside import guarded_socket
from .logs import LogFormatter
from .politeness import Downloader
from .robots import RobotsTxt
from .scheduler import Scheduler
from .sieve import LinkSieve
from .start import StartOnce
from .stats import StatsCollector
from .turns import Turns

__all__ = [
    "Downloader",
    "FrontierAddon",
    "LinkSieve",
    "LogFormatter",
    "RobotsTxt",
    "Scheduler",
    "StartOnce",
    "StatsCollector",
    "Turns",
    "guarded_socket",
]
