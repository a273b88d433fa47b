"""The names of a crawl's keys in Redis.

All of them start with the crawl's name as a hash tag, ``{quotes}:``, so that a crawl lives on one node
of a Redis Cluster. The scripts derive their keys from :func:`meta` by the same rules; `keys.lua`
lists them all.
"""

from __future__ import annotations

import re

from .exceptions import BadCrawlName, BadStartUrls

_CRAWL_NAME = re.compile(r"[^\s{}]{1,100}")
_MOST_SHOWN = 120  # characters of a name that can't be used


def meta(crawl: str) -> str:
    """The hash with the counters of `crawl`; the one key from which the scripts derive the others.

    Raises :class:`BadCrawlName` for a name that can't be a hash tag.
    """
    if not _CRAWL_NAME.fullmatch(crawl) or not crawl.isprintable():
        shown = repr(crawl[:_MOST_SHOWN])
        raise BadCrawlName(
            f"{shown} can't name a crawl: use 1 to 100 characters that can be printed, no spaces or braces"
        )
    return f"{{{crawl}}}:meta"


def of_scripts(crawl: str) -> tuple[str, str]:
    """The keys that a script on `crawl` is called with: :func:`meta`, and one that never exists.

    While Redis Cluster moves the crawl's slot key by key, a node refuses a call of several keys unless it has
    all of them. So it refuses the script before its first step, rather than at a key that has gone ahead.
    """
    return meta(crawl), f"{{{crawl}}}:nothing"


def workers(crawl: str) -> str:
    """The sorted set of live workers and the moments, in ms, at which they are taken for dead."""
    return f"{{{crawl}}}:workers"


def policy(crawl: str, worker: str) -> str:
    """The hash in which `worker` brings what the settings say of hosts, until it joins."""
    return f"{{{crawl}}}:policy:{worker}"


def dead(crawl: str) -> str:
    """The stream of dead letters."""
    return f"{{{crawl}}}:dead"


def returned(crawl: str) -> str:
    """The sorted set of names in MongoDB that nobody needs any more, and since when, in ms."""
    return f"{{{crawl}}}:returned"


def robots(crawl: str, origin: str) -> str:
    """The robots.txt of `origin`, such as ``https://example.com:8443``."""
    return f"{{{crawl}}}:robots:{origin}"


def job(crawl: str) -> str:
    """What the first worker of a run was started with."""
    return f"{{{crawl}}}:job"


def cookies(crawl: str) -> str:
    """The hash with the cookies that the workers share, by jar and site."""
    return f"{{{crawl}}}:cookies"


def inside(crawl: str) -> str:
    """The set of the hosts of starts that lie inside, such as ``localhost`` and ``10.1.2.3``."""
    return f"{{{crawl}}}:inside"


def claims(start_urls: str, crawl: str) -> tuple[str, str]:
    """The hash and the sorted set in which `crawl` remembers what it took off the list `start_urls`.

    They share that list's node of a Redis Cluster: the whole of a name without braces is its tag. Raises
    :class:`BadStartUrls` for braces that are no tag to Redis.
    """
    tagged = re.match(r"[^{]*\{[^}]+\}", start_urls)
    if not start_urls or (not tagged and "}" in start_urls):
        raise BadStartUrls(f"{start_urls!r} can't name a key of start URLs: leave out the braces")
    base = start_urls if tagged else f"{{{start_urls}}}"
    return f"{base}:claims:{crawl}", f"{base}:claimed:{crawl}"
