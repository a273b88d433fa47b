"""`scrapy frontier add` and `forget`: URLs into a crawl, and out of what it has seen."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from scrapy import Request

from crawlers.frontier import MOST_PRIORITY, Link, encode, operations
from crawlers.frontier.operations import Queued, Restorer
from crawlers.scheduler.hostkeys import HostKeys
from crawlers.scheduler.requests import fingerprint_of

from .desk import Desk, Failed
from .moment import counted
from .whereabouts import request_of

_MOST_AT_ONCE = 200
_WORKERS_REMEMBER = (
    " Workers that run remember the last 200,000 links that they met, and drop these until they end."
)


async def add(desk: Desk) -> int:
    """Queues URLs for `parse`, whether they were seen or not, as pushed start URLs are."""
    priority = desk.opts.priority or 0
    if abs(priority) > MOST_PRIORITY:
        raise Failed(f"--priority must be between -{MOST_PRIORITY:,} and {MOST_PRIORITY:,}, not {priority:,}")
    requests = [request_of(url) for url in desk.opts.arguments]
    keys = HostKeys(desk.settings["FRONTIER_HOST_KEY"])
    hosts = [keys.of(request) for request in requests]
    await keys.find(hosts)
    restorer = Restorer(desk.crawl)
    most = desk.settings.getint("FRONTIER_MAX_REQUEST_BYTES")
    for request, host in zip(requests, hosts, strict=True):
        payload = encode(Link(request.url, dont_filter=True), most)
        await restorer.queue(Queued(keys.final(host), priority, 0, payload))
    await restorer.flush()
    desk.say(f"Queued {counted(len(requests), 'URL')} for {desk.crawl.name}.", queued=len(requests))
    return 0


async def forget(desk: Desk) -> int:
    """Takes a URL out of what was seen, or the URLs of documents and dead letters that a pattern finds. What
    holds :// is a URL, unless it starts with ^.
    """
    text = desk.opts.argument
    urls = _one(text) if "://" in text and not text.startswith("^") else _found(desk, _pattern(text))
    fingerprint = (await desk.fingerprinter()).fingerprint
    run = (await desk.crawl.meta()).get("run", 0)
    forgotten, some = 0, []
    async for url in urls:
        digest = fingerprint(Request(url))
        some += [fingerprint_of(digest), fingerprint_of(digest, start_of_run=run)]
        if len(some) >= _MOST_AT_ONCE:
            forgotten += await operations.forget(desk.crawl, some)
            some = []
    forgotten += await operations.forget(desk.crawl, some)
    said = f"Forgot {counted(forgotten, 'URL')}: the next link to each is taken."
    desk.say(said + (_WORKERS_REMEMBER if forgotten else ""), forgotten=forgotten)
    return 0


async def _one(url: str) -> AsyncIterator[str]:
    yield request_of(url).url


async def _found(desk: Desk, pattern: re.Pattern[str]) -> AsyncIterator[str]:
    """The URLs in which `pattern` is found, of all that is in MongoDB and of the dead letters."""
    async for url in desk.store.urls():
        if pattern.search(url) and _is_url(url):
            yield url
    async for letter in operations.dead(desk.crawl, "", 0):
        if pattern.search(letter.url) and _is_url(letter.url):
            yield letter.url


def _is_url(text: str) -> bool:
    try:
        return bool(request_of(text))
    except Failed:
        return False


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise Failed(f"{text!r} is no URL and no regular expression: {error}") from None
