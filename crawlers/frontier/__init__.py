"""ROOM 2: the frontier that all workers of a crawl share. Redis only; it knows nothing of Scrapy.

A worker joins, then exchanges again and again: links it found and pages it is done with against new
leases, in one atomic step each. `exchange.lua` holds the rules, `keys.lua` the keys.
"""

from .bounds import MOST_MS, ms_of, within
from .client import MOST_COOKIE_BYTES, Frontier, Member, length_when_cut, score_of
from .codec import Link, decode, encode
from .connection import BLOCKING, Client, client_of, connect
from .deep import Closed, Deep, Plan, Wanted
from .exceptions import (
    BadConnection,
    BadCrawlName,
    BadPayload,
    BadStartUrls,
    FrontierError,
    NotPlainData,
    Unknown,
)
from .kinds import Opaque, register
from .model import (
    MOST_PRIORITY,
    Batch,
    Claims,
    Counts,
    Failed,
    Found,
    HostPolicy,
    Joined,
    Lease,
    News,
    Refused,
    Reply,
    Terms,
)
from .printable import printable, printable_lines
from .server import examine, judge, refusal
from .status import Status, WorkerStatus

__all__ = [
    "BLOCKING",
    "MOST_COOKIE_BYTES",
    "MOST_MS",
    "MOST_PRIORITY",
    "BadConnection",
    "BadCrawlName",
    "BadPayload",
    "BadStartUrls",
    "Batch",
    "Claims",
    "Client",
    "Closed",
    "Counts",
    "Deep",
    "Failed",
    "Found",
    "Frontier",
    "FrontierError",
    "HostPolicy",
    "Joined",
    "Lease",
    "Link",
    "Member",
    "News",
    "NotPlainData",
    "Opaque",
    "Plan",
    "Refused",
    "Reply",
    "Status",
    "Terms",
    "Unknown",
    "Wanted",
    "WorkerStatus",
    "client_of",
    "connect",
    "decode",
    "encode",
    "examine",
    "judge",
    "length_when_cut",
    "ms_of",
    "printable",
    "printable_lines",
    "refusal",
    "register",
    "score_of",
    "within",
]
