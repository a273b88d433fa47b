"""Each request through the next proxy that is well."""

from __future__ import annotations

import asyncio
import logging
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.exceptions import CannotResolveHostError, DownloadConnectionRefusedError, NotConfigured
from scrapy.utils.httpobj import urlparse_cached
from scrapy.utils.misc import load_object
from twisted.internet.error import ConnectError

from .config import at_least
from .marks import ROBOTS
from .proxies import BackOff, Exit, Exits
from .proxylist import ProxyList

if TYPE_CHECKING:
    from typing import Self

    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from crawlers.frontier.connection import Client

    from .completion import Completion, Held

logger = logging.getLogger(__name__)

_WAIT_S = 5.0  # for an exit to be well; then a page goes back to the queue, for another worker may have one
_LOOK_S = 0.25
_DENIED = 407
# Of a request through a proxy only the proxy itself is looked up and connected to.
_SURELY = (DownloadConnectionRefusedError, CannotResolveHostError, ConnectError)


class NoProxy(Exception):
    """No proxy is well, and a request that is no page of the queue can't wait any longer."""


class RotatingProxies:
    """Chooses an exit for each request, and holds it while there is none.

    A downloader middleware, before `Turns`, so that no host's turn passes with waiting. What goes out without
    one is a request whose spider has set `meta["proxy"]`, be it None, and what isn't HTTP.
    """

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        source = settings.get("FRONTIER_PROXIES")
        if not source:
            raise NotConfigured
        back_off = BackOff(
            max(0.1, at_least(settings.getfloat, "FRONTIER_BACK_OFF_S", 0)),
            max(0.1, at_least(settings.getfloat, "FRONTIER_BACK_OFF_MAX_S", 0)),
        )
        self.exits = Exits(back_off, asyncio.get_running_loop().time)
        self.chosen: WeakKeyDictionary[Request, Exit] = WeakKeyDictionary()
        self._list = ProxyList(str(source), settings.get("HTTPPROXY_AUTH_ENCODING"))
        self._is_per_exit = settings.getbool("FRONTIER_POLITE_PER_PROXY")
        self._client: Client | None = None
        self._completion: Completion | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """As Scrapy builds its components."""
        return cls(crawler)

    async def bind(self, completion: Completion, client: Client) -> None:
        """Whose requests these are, and where Redis is. Reads the proxies for the first time; raises
        :class:`BadSetting`, or redis-py's errors.
        """
        self._completion, self._client = completion, client
        await self._list.read(self.exits, client)

    def name_for(self, request: Request) -> str:
        """The exit that is part of the key under which `request` is queued; empty where politeness is not
        per exit or the request goes without one.
        """
        if not self._is_per_exit or not _needs_exit(request):
            return ""
        found = self.exits.of_url(request.url)
        return found.name if found else ""

    async def process_request(self, request: Request) -> Request | None:
        """Chooses, or holds `request` for some seconds until it can."""
        if not _needs_exit(request):
            return None
        held = self._completion.held(request) if self._completion else None
        until_s = self.exits.clock() + _WAIT_S
        while True:
            await self._list.read_again(self.exits, self._client)
            if found := self._find(request, held):
                self.chosen[request] = found
                return None
            wait_s = self.exits.wait_s()
            if not wait_s:  # its own rests, another is well
                return _moved(request)
            if self.exits.clock() >= until_s:
                return self._put_off(request)
            await asyncio.sleep(min(wait_s, _LOOK_S))

    def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """A page whose robots.txt found no exit goes back to the queue."""
        return self.again(request) if isinstance(exception, NoProxy) and self._is_page(request) else None

    def again(self, request: Request) -> Request:
        """What a middleware returns so that `request` is tried again, as if it had not been."""
        if self._completion and self._is_page(request):
            return self._completion.give_back(request)
        return request.replace(dont_filter=True)

    def _find(self, request: Request, held: Held | None) -> Exit | None:
        if not self._is_per_exit:
            return self.exits.next_well()
        return self.exits.well(held.lease.host.rpartition("|")[2] if held else self.name_for(request))

    def _put_off(self, request: Request) -> Request:
        if self._is_page(request):
            return self.again(request)
        raise NoProxy("no proxy is well")

    def _is_page(self, request: Request) -> bool:
        is_held = self._completion is None or self._completion.held(request) is not None
        return is_held and ROBOTS not in request.meta


def _needs_exit(request: Request) -> bool:
    """Scrapy's own middleware writes `_scheme_proxy` where it took a proxy from the environment."""
    if "proxy" in request.meta and "_scheme_proxy" not in request.meta:
        return False
    return urlparse_cached(request).scheme in ("http", "https")


def _moved(request: Request) -> Request:
    """`request` for another exit than the one that rests. A page is queued anew, as a retry of it, which a
    sealed crawl takes as well.
    """
    again = request.replace(dont_filter=True)
    again.meta.setdefault("retry_times", 0)
    return again


class _Trip(NamedTuple):
    """A request's way through `exit` since `since_s`."""

    exit: Exit
    since_s: float


class ThroughProxy:
    """Sends each request through the exit that was chosen for it, and sees how that fares.

    A downloader middleware, after `Turns`, which hears nothing of what an exit is to blame for. No other
    middleware, and no queue, ever sees a proxy's password.
    """

    def __init__(self, crawler: Crawler) -> None:
        settings = crawler.settings
        if not settings.get("FRONTIER_PROXIES"):
            raise NotConfigured
        self._crawler = crawler
        self._retries = settings.getbool("RETRY_ENABLED")
        self._errors = tuple(
            load_object(error) if isinstance(error, str) else error
            for error in settings.getlist("RETRY_EXCEPTIONS")
        )
        self._trips: WeakKeyDictionary[Request, _Trip] = WeakKeyDictionary()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """As Scrapy builds its components."""
        return cls(crawler)

    @cached_property
    def _proxies(self) -> RotatingProxies:
        found = self._crawler.get_downloader_middleware(RotatingProxies)
        assert found is not None
        return found

    def process_request(self, request: Request) -> None:
        """Lets `request` out."""
        chosen = self._proxies.chosen.pop(request, None)
        if chosen is None:
            return
        now_s = self._proxies.exits.clock()
        address = chosen.take(now_s)
        request.meta["proxy"] = address.url
        request.headers.pop(b"Proxy-Authorization", None)  # that of a proxy from the environment
        if address.authorization:
            request.headers[b"Proxy-Authorization"] = address.authorization
        self._trips[request] = _Trip(chosen, now_s)
        self._crawler.stats.inc_value(f"proxy/{chosen.name}/requests")

    def process_response(self, request: Request, response: Response) -> Request | Response:
        """An answer is a sign of health, whatever it is, but for one: the proxy denies itself."""
        trip = self._back(request)
        if trip is None:
            return response
        if response.status == _DENIED:
            self._blames(trip, f"HTTP {_DENIED}", surely=True)
            return self._proxies.again(request)
        trip.exit.answered(trip.since_s, self._proxies.exits.clock())
        return response

    def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """A page that didn't get past its exit goes back to the queue; one of which it isn't sure that it
        didn't is retried as Scrapy does. What is left is the site's failure.
        """
        trip = self._back(request)
        if trip is None or not isinstance(exception, (*_SURELY, *self._errors)):
            return None
        # Scrapy's TunnelError tells the status in its text only.
        surely = isinstance(exception, _SURELY) or f"'status': {_DENIED}" in str(exception)
        if not self._blames(trip, type(exception).__name__, surely=surely):
            return None
        return self._proxies.again(request) if surely else self._retry(request, exception)

    def _back(self, request: Request) -> _Trip | None:
        trip = self._trips.pop(request, None)
        if trip is not None:
            request.meta.pop("proxy", None)
            request.headers.pop(b"Proxy-Authorization", None)
        return trip

    def _blames(self, trip: _Trip, reason: str, *, surely: bool) -> bool:
        rest_s = trip.exit.rest_s
        blamed = trip.exit.failed(trip.since_s, self._proxies.exits.clock(), surely=surely)
        if blamed:
            self._crawler.stats.inc_value(f"proxy/{trip.exit.name}/failures")
        if trip.exit.rest_s > rest_s:
            logger.warning("The proxy %s rests for %g s: %s", trip.exit.name, trip.exit.rest_s, reason)
        return blamed

    def _retry(self, request: Request, exception: Exception) -> Request | None:
        if not self._retries or request.meta.get("dont_retry"):
            return None
        assert self._crawler.spider is not None
        return get_retry_request(request, spider=self._crawler.spider, reason=exception)
