"""When a page is done, and how it went.

Scrapy says neither. A page is under way while its request is in the downloader or the scraper, whatever
happens to it there: callbacks of every kind, errbacks, retries, redirects, items in the pipelines. Their
sets are reachable names but not documented API, so that they are read here and nowhere else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import KeysView, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from scrapy import Request, signals
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response

from crawlers.frontier import Failed, Lease
from crawlers.retrying import RedisUnreachable

from .marks import GIVEN_BACK
from .redirects import NO_END

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.crawler import Crawler
    from twisted.python.failure import Failure

logger = logging.getLogger(__name__)

_MOST_REASON = 500  # characters; a reason is read by people and stays in Redis


class Held(NamedTuple):
    """A lease of this worker's, from an exchange that was sent at `since_s` of the loop's clock."""

    lease: Lease
    since_s: float


@dataclass(slots=True)
class Ended:
    """Leases that are done, those that failed, and those that go back to their queues."""

    done: list[int] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    released: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.done or self.failed or self.released)

    def take(self, most: int) -> Ended:
        """Moves the first `most` of each kind into what it returns."""
        taken = Ended(self.done[:most], self.failed[:most], self.released[:most])
        del self.done[:most], self.failed[:most], self.released[:most]
        return taken


class UnknownScrapy(RuntimeError):
    """This version of Scrapy lacks what completion reads."""


class EngineView:
    """What is read of Scrapy's engine beyond its documented API."""

    def __init__(self, crawler: Crawler) -> None:
        assert crawler.engine is not None
        self._engine = crawler.engine
        self._downloader = crawler.engine.downloader
        self._scraper = crawler.engine.scraper

    def check(self) -> None:
        """Raises :class:`UnknownScrapy` where a name is missing; to be called once the spider is open."""
        slot = self._scraper.slot
        found = {
            "engine.downloader.active": hasattr(self._downloader, "active"),
            "engine.scraper.slot.active": hasattr(slot, "active"),
            "engine.scraper.slot.queue": hasattr(slot, "queue"),
            "engine._slot.nextcall": hasattr(self._engine._slot, "nextcall"),
            "engine._start": hasattr(self._engine, "_start"),
            "engine._handle_downloader_output": hasattr(self._engine, "_handle_downloader_output"),
        }
        missing = [name for name, there in found.items() if not there]
        if missing:
            raise UnknownScrapy(f"this version of Scrapy has no {', '.join(missing)}: install scrapy~=2.19")

    def over(self, requests: KeysView[Request]) -> Set[Request]:
        """Those of `requests`, which the engine was given, that are neither in downloader nor scraper."""
        slot = self._scraper.slot
        assert slot is not None
        over = requests - self._downloader.active - slot.active
        return over.difference(queued for _, queued, _ in slot.queue) if over else over

    def quiet(self) -> bool:
        """Nothing is under way and the spider's start is exhausted: no new links can turn up."""
        slot = self._scraper.slot
        idle = slot is None or slot.is_idle()
        return idle and not self._downloader.active and self._engine._start is None

    def starting(self) -> bool:
        """The spider's start is still to yield more."""
        return self._engine._start is not None

    def on_continuation(self, hear: Callable[[Request, Request, Callable[[], Any]], Any]) -> None:
        """`hear(request, page, hand_over)` gives the scheduler what goes on with a page.

        To be called after the steps of the engine were chosen.
        """
        handle = self._engine._handle_downloader_output

        def heard(result: Any, page: Request) -> Any:
            if isinstance(result, Request):
                return hear(result, page, lambda: handle(result, page))
            return handle(result, page)

        self._engine._handle_downloader_output = heard  # type: ignore[assignment,method-assign]

    def free_slots(self) -> int:
        """How many more requests the downloader would start at once."""
        total = self._downloader.total_concurrency or 1_000_000
        return max(0, total - len(self._downloader.active))

    def is_closing(self) -> bool:
        """Whether the engine takes no more requests and waits for those under way."""
        slot = self._engine._slot
        return not self._engine.running or (slot is not None and slot.closing is not None)

    def nudge(self) -> None:
        """Lets the engine ask for requests now; by itself an idle one asks every 5 s."""
        slot = self._engine._slot
        if self._engine.running and slot is not None and slot.closing is None:
            slot.nextcall.schedule()


class Completion:
    """Follows leased requests through Scrapy until they are done or have failed."""

    def __init__(self, crawler: Crawler) -> None:
        self.engine = EngineView(crawler)
        self._leases: dict[Request, Held] = {}
        self._lent: WeakKeyDictionary[Request, Held] = WeakKeyDictionary()
        self._given_back: set[Request] = set()
        self._copies: WeakSet[Request] = WeakSet()
        self._lost: WeakSet[Request] = WeakSet()
        self._failures: dict[Request, tuple[str, bool]] = {}
        crawler.signals.connect(self._spider_error, signals.spider_error)
        crawler.signals.connect(self._item_error, signals.item_error)

    def __len__(self) -> int:
        """How many leased requests are under way."""
        return len(self._leases)

    def track(self, request: Request, held: Held) -> None:
        """`request`, which stands for `held`, goes to the engine now."""
        self._leases[request] = held

    def held(self, request: Request) -> Held | None:
        """The lease for which `request` stands, or whose turn it may use; None without one."""
        return self._leases.get(request) or self._lent.get(request)

    def lend_turn(self, request: Request, held: Held) -> None:
        """`request` goes to the host of `held` in its place."""
        self._lent[request] = held

    def give_back(self, request: Request) -> Request:
        """What a middleware returns to end `request` here and now; its page goes back to the queue."""
        if request in self._leases:
            self._given_back.add(request)
        again = request.copy()
        again.meta[GIVEN_BACK] = True
        self._copies.add(again)
        return again

    def is_given_back(self, request: Request) -> bool:
        """Whether `request` is what :meth:`give_back` made."""
        return GIVEN_BACK in request.meta and request in self._copies

    def is_lost(self, request: Request) -> bool:
        """Whether `request` stood for a lease that is another's now."""
        return request in self._lost

    def forget_all(self) -> None:
        """What is under way is another worker's now: how it ends is of no interest."""
        self._lost.update(self._leases)
        self._leases.clear()
        self._failures.clear()
        self._given_back.clear()

    def hosts(self) -> list[str]:
        """The hosts of what is under way, each as often as it has leases."""
        return [held.lease.host for held in self._leases.values()]

    def sweep(self, ended: Ended) -> list[str]:
        """Adds the leases that ended since the last call to `ended`. Returns the host of each."""
        hosts = []
        over = self.engine.over(self._leases.keys()) if self._leases else frozenset()
        for request in [r for r in self._leases if r in over]:
            lease = self._leases.pop(request).lease
            failure = self._failures.pop(request, None)
            hosts.append(lease.host)
            if request in self._given_back:
                self._given_back.remove(request)
                ended.released.append(lease.id)
            elif failure is None:
                ended.done.append(lease.id)
            else:
                ended.failed.append(Failed(lease.id, *failure))
        return hosts

    def runs_in_circles(self, page: Request, reason: str) -> None:
        """The page of `page` leads to itself, and is not followed any further."""
        if page in self._leases:
            self._failures.setdefault(page, (reason[:_MOST_REASON], True))

    def download_failed(self, failure: Failure) -> Failure:
        """The errback of requests that have none of their own. Lets the failure pass on.

        Scrapy has retried by now, so that another attempt is of no use. What a middleware ignored, as
        robots.txt or an HTTP status asks for, has not failed; a chain of redirects without an end has.
        """
        is_ignored = failure.check(IgnoreRequest)  # type: ignore[no-untyped-call]
        if not is_ignored or str(failure.value).startswith(NO_END):
            self._fail(failure.request, "download failed", failure, final=True)  # type: ignore[attr-defined]
        return failure

    def _spider_error(self, failure: Failure, response: Response | Failure | None) -> None:
        if response is not None:  # None: the spider's start raised
            self._fail(response.request, "callback raised", failure, final=False)  # type: ignore[union-attr]

    def _item_error(self, failure: Failure, response: Response | Failure | None) -> None:
        if response is not None:
            self._fail(response.request, "pipeline raised", failure, final=False)  # type: ignore[union-attr]

    def _fail(self, request: Request | None, what: str, failure: Failure, *, final: bool) -> None:
        if isinstance(failure.value, MemoryError):
            _end_at_once()
        if request in self._leases and isinstance(failure.value, RedisUnreachable):
            self._given_back.add(request)  # the worker closes: another one tries it
        elif request in self._leases:
            reason = f"{what} {type(failure.value).__name__}: {failure.value}"
            self._failures.setdefault(request, (reason[:_MOST_REASON], final))


def _end_at_once() -> None:
    """Without memory a worker may neither go on nor close, and would renew its leases for ever."""
    logger.critical("Out of memory: this worker ends at once, and others take over what it held")
    logging.shutdown()
    os._exit(1)
