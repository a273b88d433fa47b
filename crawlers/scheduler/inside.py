"""No site sends a worker inside: to loopback, private, link-local and metadata addresses.

An address is looked at when a connection to it is about to be made, after DNS, so that a name which changes
its answer gets no further than one that doesn't. A crawl may go to an inside address where

- FRONTIER_INSIDE_NETWORKS holds it, or
- a start request or a pushed start URL has that host in its URL, be it an address or a name that isn't public
  (see :func:`looks_inside`). localhost, 127.0.0.1 and ::1 are one host.

The hosts of starts are in Redis before the requests are, so that all workers know them.
"""

from __future__ import annotations

import asyncio
import socket
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scrapy.utils.httpobj import urlparse_cached
from twisted.internet.interfaces import IHostnameResolver, IResolutionReceiver
from zope.interface import implementer  # type: ignore[import-untyped]  # it ships no types

from crawlers.retrying import until_redis_answers

from .addresses import Address, inside, looks_inside, named, of_host, read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scrapy import Request
    from scrapy.http import Response

    from crawlers.frontier import Frontier

    from .addresses import Network

    Download = Callable[[Request], Awaitable[Response]]

_LOCAL = {"localhost", "127.0.0.1", "::1"}
_MOST_SHOWN = 200  # characters of a URL in a reason


class InsideAddress(Exception):
    """A request that would have gone to an inside address; the text says to which and what allows it."""


@lru_cache(maxsize=10_000)
def host_to_open(host: str) -> str | None:
    """The name under which a start opens `host`; None where there is nothing to open."""
    if not looks_inside(host):
        return None
    name = str(of_host(host) or named(host))
    return "localhost" if name in _LOCAL else name


class Guard:
    """Says where the requests of one crawl may go. `networks`: those of FRONTIER_INSIDE_NETWORKS."""

    def __init__(self, frontier: Frontier, networks: tuple[Network, ...]) -> None:
        self._frontier = frontier
        self._networks = networks
        self._opened: set[str] = set()

    async def fetch(self, request: Request, download: Download) -> Response:
        """What `download` makes of `request`. Raises :class:`InsideAddress`.

        The frontier is asked only where a request would be refused, whether a start is there.
        """
        visit = Visit(self, request)
        try:
            return await visit.fetch(download)
        except InsideAddress:
            if not await self._find_opened(visit.hosts_to_open()):
                raise
        return await Visit(self, request).fetch(download)

    async def _find_opened(self, hosts: set[str]) -> bool:
        for host in hosts - self._opened:
            if await until_redis_answers(
                lambda: self._frontier.is_opened(host),  # noqa: B023  # awaited here
                self._frontier.patience_s,
            ):
                self._opened.add(host)
        return not self._opened.isdisjoint(hosts)

    def is_opened(self, host: str | None) -> bool:
        """Whether a start is known to have opened it; `host` as of :func:`host_to_open`."""
        return host in self._opened

    def allows(self, address: Address) -> bool:
        """Whether every request may go to this inside address."""
        return self.is_opened(host_to_open(str(address))) or any(address in net for net in self._networks)


class Visit:
    """One request on its way, and from which address it was kept."""

    __slots__ = ("_guard", "_host", "_kept_from", "_opens", "_request")

    def __init__(self, guard: Guard, request: Request) -> None:
        self._guard = guard
        self._request = request
        self._host = urlparse_cached(request).hostname or ""
        self._opens = host_to_open(self._host)
        self._kept_from: tuple[Address, str] | None = None

    async def fetch(self, download: Download) -> Response:
        """Downloads it. Of what goes through a proxy only the URL is looked at: the proxy asks the DNS."""
        if self._opens and not self._guard.is_opened(self._opens):
            address = of_host(self._host)
            if address and not self.may_go_to(address):
                raise self._refused()
        if urlparse_cached(self._request).scheme == "ftp":
            await self._look_up()
        token = _visit.set(None if self._request.meta.get("proxy") else self)
        try:
            return await download(self._request)
        except Exception as error:
            if self._kept_from is None:
                raise
            raise self._refused() from error
        finally:
            _visit.reset(token)

    async def _look_up(self) -> None:
        """Scrapy's client for FTP asks the DNS by itself, so that only an answer before is known."""
        try:
            found = await asyncio.to_thread(socket.getaddrinfo, self._host, None)
        except OSError:
            return
        addresses = [read(str(info[4][0])) for info in found]
        if not all(self.may_go_to(address) for address in addresses if address):
            raise self._refused()

    def may_go_to(self, address: Address) -> bool:
        """Whether `address` is one of the world's, or one to which this request is allowed."""
        kind = inside(address)
        if not kind or self._guard.is_opened(self._opens) or self._guard.allows(address):
            return True
        self._kept_from = address, kind
        return False

    def hosts_to_open(self) -> set[str]:
        """What the start of the crawl could have opened for it: its host, or the address where that is."""
        address = str(self._kept_from[0]) if self._kept_from else ""
        return {host for host in (self._opens, host_to_open(address)) if host}

    def _refused(self) -> InsideAddress:
        assert self._kept_from is not None
        address, kind = self._kept_from
        came_from = self._request.meta.get("redirect_urls")
        by = f", where {str(came_from[-1])[:_MOST_SHOWN]} redirects to," if came_from else ""
        return InsideAddress(
            f"{self._request.url[:_MOST_SHOWN]}{by} is at {address}, {kind} address, and no start of this"
            " crawl is there; FRONTIER_INSIDE_NETWORKS allows such"
        )


_visit: ContextVar[Visit | None] = ContextVar("visit", default=None)


def guarded_socket(info: tuple[Any, ...]) -> socket.socket:
    """The socket for an address, a tuple of `getaddrinfo`, that aiohttp connects to. Raises OSError."""
    visit, address = _visit.get(), read(str(info[4][0]))
    if visit is not None and address is not None and not visit.may_go_to(address):
        raise PermissionError(f"{address} is an inside address")
    return socket.socket(family=info[0], type=info[1], proto=info[2])


def guard_reactor() -> None:
    """Puts the look at addresses behind the name resolver of Twisted, by which its endpoints connect: also
    where a URL has an address in place of a name.
    """
    from twisted.internet import reactor

    resolver = reactor.nameResolver
    if not isinstance(resolver, _GuardedResolver):
        reactor.installNameResolver(_GuardedResolver(resolver))


@implementer(IHostnameResolver)
class _GuardedResolver:
    """Hands on what another resolver finds, without what the visit under way is to be kept from."""

    def __init__(self, resolver: Any) -> None:
        self._resolver = resolver

    def resolveHostName(self, receiver: Any, *args: Any, **kwargs: Any) -> Any:
        """Twisted's call."""
        visit = _visit.get()
        if visit is not None:
            receiver = _GuardedReceiver(receiver, visit)
        return self._resolver.resolveHostName(receiver, *args, **kwargs)


@implementer(IResolutionReceiver)
class _GuardedReceiver:
    def __init__(self, receiver: Any, visit: Visit) -> None:
        self.resolutionBegan = receiver.resolutionBegan
        self.resolutionComplete = receiver.resolutionComplete
        self._receiver = receiver
        self._visit = visit

    def addressResolved(self, found: Any) -> None:
        """Twisted's call."""
        address = read(found.host)
        if address is None or self._visit.may_go_to(address):
            self._receiver.addressResolved(found)
