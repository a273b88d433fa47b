"""`scrapy frontier where URL`."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from scrapy import Request
from scrapy.utils.request import RequestFingerprinter

from crawlers.frontier import Link
from crawlers.frontier.operations import Place
from crawlers.frontier.operations import where as find
from crawlers.migration import ScrapyRedisFingerprinter
from crawlers.scheduler.hostkeys import HostKeys, host_of
from crawlers.scheduler.requests import fingerprint_of

from .desk import Desk, Failed
from .moment import ago, counted, span

_DROPS = (
    "Further links to a URL that was seen are dropped; they are counted for the crawl (status: dropped), not"
    " one by one."
)
_NO_TRACE = (
    "A pushed start URL, or a request with dont_filter, leaves no trace once it is done; neither does a run"
    " that has finished."
)


async def where(desk: Desk) -> int:
    """Says where the URL is, as a GET request."""
    request = request_of(desk.opts.argument)
    fingerprinter = await desk.fingerprinter()
    fingerprint = fingerprinter.fingerprint
    digest, outline = fingerprint(request), _outline(request.url)
    quick = isinstance(fingerprinter, (RequestFingerprinter, ScrapyRedisFingerprinter))
    run = (await desk.crawl.meta()).get("run", 0)

    def same(link: Link) -> bool:
        if quick and _outline(link.url) != outline:
            return False
        try:
            return (
                fingerprint(Request(link.url, method=link.method, body=link.body, meta=link.meta)) == digest
            )
        except (ValueError, TypeError):
            return False

    seen_as = (fingerprint_of(digest), fingerprint_of(digest, start_of_run=run))
    keys = HostKeys(desk.settings["FRONTIER_HOST_KEY"])
    host = keys.of(request)
    await keys.find([host])
    place = await find(desk.crawl, request.url, keys.final(host), seen_as, same)
    now_ms = await desk.crawl.now_us() // 1000
    if desk.opts.json:
        print(json.dumps({"url": request.url, **_figures(place)}))
    else:
        desk.say(f"{request.url} {_sentence(place, now_ms)}")
        desk.say(_DROPS if place.seen else _NO_TRACE)
    return 0


def _outline(url: str) -> str:
    """What all spellings have in common that these fingerprinters take for one URL; soon compared."""
    return unquote(url.partition("#")[0].partition("?")[0]).rstrip("/").lower()


def request_of(url: str) -> Request:
    """A GET request for `url`. Raises :class:`Failed` for what is none."""
    try:
        request = Request(url)
        known = bool(host_of(request)) and "://" in url
    except ValueError:
        known = False
    if not known:
        raise Failed(f"{url!r} is not a URL: write it as http://host/path")
    return request


def _sentence(place: Place, now_ms: int) -> str:
    if place.state == "queued":
        return f"is queued: {_in_queue(place)}"
    if place.lease:
        lease = place.lease
        return f"is leased by {lease.worker}, handed out {ago(now_ms - lease.since_ms)}{_tried(place)}."
    if place.letter:
        died = ago(now_ms - place.letter.when_ms)
        return f"is dead, {died}, after {counted(place.attempts, 'attempt')}: {place.letter.reason}"
    return {"done": "is done.", "never seen": "was never seen."}[place.state]


def _in_queue(place: Place) -> str:
    before = f"{counted(place.ahead, 'request')} of its host before it"
    if place.host is None:
        return f"{before}."
    host = place.host
    if host.due_ms is None:
        due = f"{host.host} is at its limit, with {counted(host.active, 'page')} under way"
    elif host.asleep_ms:
        due = f"{host.host} is left alone for {span(host.asleep_ms)}: {host.why}"
    else:
        due = f"{host.host} is due {'in ' + span(host.due_ms) if host.due_ms else 'now'}"
    return f"{before}, priority {place.priority}; {due}{_tried(place)}."


def _tried(place: Place) -> str:
    return f"; {counted(place.attempts, 'attempt')} so far" if place.attempts else ""


def _figures(place: Place) -> dict[str, Any]:
    figures: dict[str, Any] = {"state": place.state, "seen": place.seen}
    if place.state in {"queued", "leased", "dead"}:
        figures |= {"priority": place.priority, "attempts": place.attempts}
    if place.state == "queued":
        figures |= {"ahead": place.ahead, "due_ms": place.host and place.host.due_ms}
    if place.lease:
        figures |= {"worker": place.lease.worker, "since_ms": place.lease.since_ms}
    if place.letter:
        figures |= {"reason": place.letter.reason, "when_ms": place.letter.when_ms}
    return figures
