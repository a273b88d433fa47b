"""Which page it is that blocks the loop: told from the stack, so that nobody keeps book for it."""

from __future__ import annotations

import logging
import traceback
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from scrapy import Request
from scrapy.http import Response
from twisted.python.failure import Failure

from crawlers.heartbeat.parent import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy import Spider
    from scrapy.crawler import Crawler

    from .completion import Completion
    from .config import Config
    from .worker import Worker

logger = logging.getLogger(__name__)

_MOST_FRAMES, _FRAMES_SHOWN = 1000, 30
_MOST_REASON = 500  # characters; a reason is read by people and stays in Redis
_MOST_URL = 200


def heartbeat_for(crawler: Crawler, config: Config, completion: Completion, worker: Worker) -> Heartbeat:
    """Starts what renews the lease of `worker` while its loop is blocked."""
    terms, manners = config.terms, worker.manners
    settings = crawler.settings.copy_to_dict()
    redis = {name: value for name, value in settings.items() if name.startswith("REDIS_")}
    limits = terms.ttl_ms, terms.max_attempts, config.callback_limit_s
    assert crawler.spider is not None
    witness = Witness(completion, crawler.spider, config.callback_limit_s)
    heartbeat = Heartbeat(redis, config.crawl, limits, witness)
    manners.renewed_until_s = heartbeat.renewed_until_s
    worker.on_join = heartbeat.rename
    heartbeat.start(lambda: manners.alive_until_s - terms.ttl_ms / 1000)
    return heartbeat


class Blamed(NamedTuple):
    """Who blocks the loop: a lease, 0 where it is none of this worker's, and a sentence."""

    lease: int
    reason: str


class Witness:
    """Looks at a blocked thread, from another one or from within a signal."""

    def __init__(self, completion: Completion, spider: Spider, limit_s: float) -> None:
        self._completion = completion
        self._spider = spider
        self._limit_s = limit_s

    def __call__(self, frame: FrameType | None, blocked_s: float, final: bool) -> Blamed:
        """Logs with the stack what has blocked the loop for so long; `final`: its lease is let go now."""
        lease, what = self._find(frame)
        reason = f"{what} blocked its worker for {blocked_s:.0f} s{_place(frame)}"[:_MOST_REASON]
        if final:
            ends = f"its {len(self._completion)} requests go back to the frontier, and others take over"
        elif self._limit_s:
            ends = f"its lease is renewed for {self._limit_s:g} s at most (FRONTIER_CALLBACK_LIMIT_S)"
        else:
            ends = "its lease is renewed for as long as that lasts (FRONTIER_CALLBACK_LIMIT_S is 0)"
        stack = "".join(traceback.format_stack(frame)[-_FRAMES_SHOWN:]) if frame else ""
        logger.warning("%s; %s. It is at:\n%s", reason, ends, stack)
        return Blamed(lease, reason)

    def _find(self, frame: FrameType | None) -> tuple[int, str]:
        """The page of the innermost call that has to do with one, and how to speak of it."""
        beside = None
        for request in _requests(frame):
            if held := self._completion.held(request):
                return held.lease.id, self._name(request)
            beside = beside or request
        return 0, self._name(beside) if beside else "something that belongs to no page"

    def _name(self, request: Request) -> str:
        callback = request.callback or self._spider.parse
        name = getattr(callback, "__qualname__", type(callback).__name__)
        return f"the page {request.url[:_MOST_URL]} with callback {name}"


def _requests(frame: FrameType | None) -> Iterator[Request]:
    """What calls on the stack are about, from the innermost on."""
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return
        if frame.f_locals is not frame.f_globals:
            for value in list(frame.f_locals.values()):
                request = _request_of(value)
                if request is not None:
                    yield request
        frame = frame.f_back


def _request_of(value: Any) -> Request | None:
    if isinstance(value, Request):
        return value
    if isinstance(value, (Response, Failure)):
        found = getattr(value, "request", None)
        return found if isinstance(found, Request) else None
    return None


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return ""
    return f" in {frame.f_code.co_qualname}, line {frame.f_lineno} of {frame.f_code.co_filename}"
