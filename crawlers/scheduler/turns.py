"""The last thing before a request goes out, and the first when its answer is there."""

from __future__ import annotations

import asyncio
import email.utils
import time
from datetime import UTC
from typing import TYPE_CHECKING
from weakref import WeakSet

from scrapy.exceptions import ResponseDataLossError
from scrapy.utils.misc import load_object

from crawlers.retrying import RedisUnreachable, until_redis_answers

from .limits import AnswerTooLarge
from .marks import ROBOTS, WAITS, waits_of

if TYPE_CHECKING:
    from typing import Self

    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from crawlers.frontier import Frontier

    from .completion import Completion, Held
    from .hostkeys import HostKeys
    from .worker import Worker


UNREADABLE = (ResponseDataLossError, AnswerTooLarge)
"""What comes of a robots.txt that a site does answer with, but not so that it can be read."""

_MOST_REASON = 200  # characters
_LATE_S = 0.005  # who is later than this at its turn takes another
_MOST_WAIT_S = 86_400.0  # a day is the most that a host may ask for at once


def retry_after_s(value: bytes | None, now_s: float) -> float | None:
    """The seconds that `Retry-After` asks for, a number or a date (RFC 9110, 10.2.3); None if it doesn't."""
    if not value:
        return None
    text = value.decode("latin-1").strip()
    if text.isdecimal():
        return min(float(text[:9]), _MOST_WAIT_S)
    try:
        moment = email.utils.parsedate_to_datetime(text)
        wait_s = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now_s
    except (ValueError, OverflowError):  # a year, an hour or a zone beyond what there is
        return None
    return min(max(wait_s, 0.0), _MOST_WAIT_S)


class Turns:
    """Lets no request go to its site but in its turn, and says how the site took it.

    A downloader middleware, next to the downloader. A page whose host asks to be left alone goes back to the
    queue, up to FRONTIER_PAGE_WAITS times, and only then is it up to Scrapy's retries and the spider.
    """

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        self._busy = {int(status) for status in settings.getlist("FRONTIER_BACK_OFF_STATUS")}
        self._ill = {int(status) for status in settings.getlist("RETRY_HTTP_CODES")} - self._busy
        self._errors = tuple(
            load_object(error) if isinstance(error, str) else error
            for error in settings.getlist("RETRY_EXCEPTIONS")
        )
        self._most_waits = settings.getint("FRONTIER_PAGE_WAITS")
        self._stats = crawler.stats
        self._worker: Worker | None = None
        self._completion: Completion
        self._frontier: Frontier
        self._keys: HostKeys
        self._out: WeakSet[Request] = WeakSet()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """As Scrapy builds its components."""
        return cls(crawler)

    def bind(self, worker: Worker, completion: Completion, frontier: Frontier, keys: HostKeys) -> None:
        """Whose requests these are. Without, as with a scheduler of Scrapy's, all pass."""
        self._worker, self._completion, self._frontier, self._keys = worker, completion, frontier, keys

    async def process_request(self, request: Request) -> Request | None:
        """Waits for the turn of a request that has none; gives a page back whose turn has passed."""
        worker = self._worker
        if worker is None:
            return None
        held = self._completion.held(request)
        if self._completion.is_lost(request):
            return self._completion.give_back(request)
        if held is None:
            await self._turn(self._keys.of(request))
        elif worker.manners.may_start(held):
            # Two turns of the loop from here its bytes are on their way; to say it sooner would let the next
            # one come too early.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, worker.manners.visited, held)
        else:
            self._stats.inc_value("frontier/too_late_to_start")
            return self._completion.give_back(request)
        self._out.add(request)
        return None

    async def _turn(self, host: str) -> None:
        """A robots.txt, or what a spider downloads by itself, waits its turn beside the queue."""
        await self._keys.find([host])
        key = self._keys.final(host)
        clock = asyncio.get_running_loop().time
        late_s = _LATE_S
        while late_s >= _LATE_S:
            wait_s = await until_redis_answers(
                lambda: self._frontier.take_turn(key), self._frontier.patience_s
            )
            at_s = clock() + wait_s
            await asyncio.sleep(wait_s)
            late_s = clock() - at_s

    def process_response(self, request: Request, response: Response) -> Request | Response:
        """Tells of an answer, good or bad."""
        if self._worker is None or request not in self._out:
            return response
        self._out.discard(request)
        held = self._completion.held(request)
        host = self._host(request, held)
        robots = ROBOTS in request.meta
        if response.status in self._busy or (robots and response.status >= 500):
            wait_s = retry_after_s(response.headers.get(b"Retry-After"), time.time())
            self._worker.manners.failed(host, self._said(request, response), wait_s=wait_s)
            return self._later(request, held) or response
        if robots and response.status < 400:
            return response  # whether it can be read is told of later
        if response.status in self._ill:
            self._worker.manners.failed(host, self._said(request, response), patient=True)
        else:
            self._answered(request, response)
        return response

    def _answered(self, request: Request, response: Response) -> None:
        assert self._worker is not None
        held = self._completion.held(request)
        latency_s = request.meta.get("download_latency", 0.0)
        watched = bool(held and held.lease.watched)
        self._worker.manners.answered(self._host(request, held), latency_s, response.status, watched=watched)

    def readable(self, request: Request, response: Response) -> None:
        """Tells of a robots.txt that could be read."""
        self._answered(request, response)

    def unreadable(self, request: Request, error: Exception) -> None:
        """Tells of one that can't be: its host is to be left alone as if it had answered 500."""
        assert self._worker is not None
        host = self._host(request, self._completion.held(request))
        self._worker.manners.failed(host, f"robots.txt: {type(error).__name__} {error}"[:_MOST_REASON])

    def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """Tells of a site that can't be reached. What becomes of the page is up to Scrapy's retries.

        A page that waited for Redis in vain, as the worker closes, is given back.
        """
        if isinstance(exception, RedisUnreachable) and self._worker and self._completion.held(request):
            return self._completion.give_back(request)
        if self._worker is None or request not in self._out:
            return None
        self._out.discard(request)
        told_later = ROBOTS in request.meta and isinstance(exception, UNREADABLE)
        if isinstance(exception, self._errors) and not told_later:
            held = self._completion.held(request)
            host = self._host(request, held)
            prefix = "robots.txt: " if ROBOTS in request.meta else ""
            self._worker.manners.failed(host, f"{prefix}{type(exception).__name__}", patient=True)
        return None

    def _host(self, request: Request, held: Held | None) -> str:
        return held.lease.host if held else self._keys.final(self._keys.of(request))

    def _said(self, request: Request, response: Response) -> str:
        prefix = "robots.txt: " if ROBOTS in request.meta else ""
        return f"{prefix}HTTP {response.status}"

    def _later(self, request: Request, held: Held | None) -> Request | None:
        """The page for the queue; None where it isn't a page of the queue, or has waited often enough."""
        waits = waits_of(request.meta, request.url)
        is_page = held is not None and ROBOTS not in request.meta
        if not is_page or waits >= self._most_waits or request.meta.get("dont_retry"):
            return None
        self._stats.inc_value("frontier/host_waits")
        again = request.replace(dont_filter=True)
        again.meta[WAITS] = [request.url, waits + 1]
        return again
