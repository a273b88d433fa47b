"""Under which name a request is queued, and with it whose delay and concurrency it shares."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from scrapy.utils.httpobj import urlparse_cached
from tldextract import TLDExtract

if TYPE_CHECKING:
    from scrapy import Request

KINDS = ("host", "domain", "ip")

# The list of public suffixes that comes with the package: nothing is downloaded.
_split = TLDExtract(suffix_list_urls=(), cache_dir=None)

_PATIENCE_S = 3.0  # for names that don't resolve; an exchange waits for it, and a lease lives much longer
_KEPT_S = 600.0  # an address, until it is asked for anew
_MOST_KEPT = 100_000


def host_of(request: Request) -> str:
    """The host of `request` without a port, as Scrapy's own slots are named.

    URLs without a host (``data:``, ``file:``) are queued under their scheme.
    """
    url = urlparse_cached(request)
    return url.hostname or url.scheme


def domain_of(host: str) -> str:
    """The registered domain of `host`, ``example.co.uk`` of ``www.example.co.uk``; of what has none, such as
    an address, `host`.
    """
    return _split(host).top_domain_under_public_suffix or host


def suffix_of(host: str) -> str:
    """The public suffix of `host`, ``co.uk`` of ``www.example.co.uk``; empty for others."""
    return _split(host).suffix


class HostKeys:
    """What FRONTIER_HOST_KEY asks for: the `host`, its registered `domain`, or its `ip` address.

    An address is looked up before a link goes out. It is the lowest of those that a name resolves to, so that
    all workers have the same; a host that doesn't resolve stands for itself.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.exit_of: Callable[[Request], str] = lambda _: ""
        """The exit that is part of a request's key, empty for none: FRONTIER_POLITE_PER_PROXY."""
        self._found: dict[str, tuple[float, str]] = {}

    def of(self, request: Request) -> str:
        """The host of `request`, or its domain; with its exit behind a |."""
        host = self.of_host(host_of(request))
        exit_ = self.exit_of(request)
        return f"{host}|{exit_}" if exit_ else host

    def of_host(self, host: str) -> str:
        """The same for a host, of what has no exit."""
        return domain_of(host) if self._kind == "domain" else host

    def final(self, host: str) -> str:
        """The name under which `host`, as :meth:`of` gives it, is queued."""
        name, bar, exit_ = host.partition("|")
        return f"{self._found[name][1]}{bar}{exit_}" if name in self._found else host

    def knows(self, host: str) -> bool:
        """Whether it was looked up where `host` belongs."""
        return self._kind != "ip" or host.partition("|")[0] in self._found

    async def find(self, hosts: Iterable[str]) -> None:
        """Looks up the addresses of `hosts` that aren't known, for three seconds at most."""
        if self._kind != "ip":
            return
        now_s = asyncio.get_running_loop().time()
        names = {host.partition("|")[0] for host in hosts}
        missing = {host for host in names if self._found.get(host, (0.0, ""))[0] <= now_s}
        if missing:
            lookups = [asyncio.ensure_future(self._look_up(host)) for host in missing]
            await asyncio.wait(lookups, timeout=_PATIENCE_S)
            for host in missing:
                self._found.setdefault(host, (now_s, host))  # until its lookup ends
        if len(self._found) > _MOST_KEPT:
            self._found = dict(list(self._found.items())[_MOST_KEPT // 2 :])

    async def _look_up(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        address = host
        try:
            answers = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            address = min(str(answer[4][0]) for answer in answers)
        except (OSError, UnicodeError):
            pass
        self._found[host] = loop.time() + _KEPT_S, address
