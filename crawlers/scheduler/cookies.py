"""Cookies belong to the crawl, as with Scrapy to its one process: whoever is logged in, all workers are."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.cookiejar import Cookie
from typing import TYPE_CHECKING, Any

from scrapy.downloadermiddlewares import cookies
from scrapy.downloadermiddlewares.cookies import CookiesMiddleware
from scrapy.http.cookies import potential_domain_matches
from scrapy.utils.httpobj import urlparse_cached
from tldextract import TLDExtract

from crawlers.retrying import until_redis_answers

from .cookielimit import keep_youngest
from .hostkeys import domain_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from scrapy import Request
    from scrapy.http import Response
    from scrapy.http.cookies import CookieJar

    from crawlers.frontier import Frontier

    from .worker import Worker

logger = logging.getLogger(__name__)

_MOST_SITES = 10_000  # that a worker remembers to have read
_MOST_COOKIE = 8_192  # bytes of one; browsers keep 4,096 of name and value

# The arguments of a Cookie, in their order, and what each may be.
_TEXT, _FLAG = (str,), (bool, int)
_ARGUMENTS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("version", (int, type(None))),
    ("name", _TEXT),
    ("value", (str, type(None))),
    ("port", (str, type(None))),
    ("port_specified", _FLAG),
    ("domain", _TEXT),
    ("domain_specified", _FLAG),
    ("domain_initial_dot", _FLAG),
    ("path", _TEXT),
    ("path_specified", _FLAG),
    ("secure", _FLAG),
    ("expires", (int, type(None))),
    ("discard", _FLAG),
    ("comment", (str, type(None))),
    ("comment_url", (str, type(None))),
    ("_rest", (dict,)),
    ("rfc2109", _FLAG),
)


@dataclass
class _Site:
    """The cookies of one jar and registered domain: as the crawl has them, and as of which version."""

    name: str
    shared: dict[str, str] = field(default_factory=dict)
    version: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


# Scrapy's would ask the internet for the list of public suffixes at the first cookie of a domain.
cookies._split_domain = TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)

# Without the decorator by which Scrapy warns those who hand a middleware a spider: 1 % of a page.
_process_request = inspect.unwrap(CookiesMiddleware.process_request)
_process_response = inspect.unwrap(CookiesMiddleware.process_response)


class SharedCookies(CookiesMiddleware):
    """Scrapy's middleware, whose jars are the crawl's.

    A cookie is in Redis before its response goes on, and so before another worker may lease a link of its
    page. Each worker reads a site's cookies before its next request there, if any have changed. Of two
    workers that change one cookie, the later wins. A crawl without cookies pays nothing. With
    `FRONTIER_COOKIES = "worker"`, and under another scheduler than ours, each worker has its own.
    """

    _worker: Worker | None = None
    _shares = _has_warned = False
    _frontier: Frontier

    def bind(self, worker: Worker, frontier: Frontier, *, shares: bool) -> None:
        """Whose cookies these are."""
        self._worker, self._frontier, self._shares = worker, frontier, shares
        self._sites: OrderedDict[str, _Site] = OrderedDict()

    def process_request(self, request: Request) -> Coroutine[Any, Any, None] | None:  # type: ignore[override]
        """Gives `request` the cookies that any worker was given."""
        if self._worker is not None and (self._worker.counts.cookies or request.cookies):
            return self._send(request)
        _process_request(self, request)
        return None

    async def _send(self, request: Request) -> None:
        site = self._site(request)
        if site is None:
            _process_request(self, request)
            return
        await self._read(site, self.jars[request.meta.get("cookiejar")])
        _process_request(self, request)
        if request.cookies:
            await self._share(site, request)

    def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Response | Coroutine[Any, Any, Response]:
        """Keeps what `response` sets, for all workers."""
        _process_response(self, request, response)
        if b"Set-Cookie" not in response.headers:
            return response
        host = urlparse_cached(request).hostname or ""
        keep_youngest(self.jars[request.meta.get("cookiejar")], _domains(host))
        return self._keep(request, response)

    async def _keep(self, request: Request, response: Response) -> Response:
        if site := self._site(request):
            await self._share(site, request)
        elif not self._shares:
            self._warn()
        return response

    def _site(self, request: Request) -> _Site | None:
        """Where the cookies of `request` are shared, None where they are not."""
        host = urlparse_cached(request).hostname
        if not self._shares or not host or request.meta.get("dont_merge_cookies"):
            return None
        name = f"{_site_of(host)} {request.meta.get('cookiejar')!r:.200}"
        site = self._sites.get(name)
        if site is None:
            site = self._sites[name] = _Site(name)
            if len(self._sites) > _MOST_SITES:
                self._sites.popitem(last=False)
        else:
            self._sites.move_to_end(name)
        return site

    async def _read(self, site: _Site, jar: CookieJar) -> None:
        """Takes over what other workers have changed since this one has looked."""
        assert self._worker is not None
        async with site.lock:
            version = self._worker.counts.cookies
            if site.version == version:
                return
            kept = await until_redis_answers(
                lambda: self._frontier.cookies(site.name), self._frontier.patience_s
            )
            for name in site.shared.keys() - kept.keys():
                with suppress(KeyError):  # it has expired here
                    jar.clear(*name.split("\n"))
            for name, payload in kept.items():
                if site.shared.get(name) != payload and (cookie := _cookie_of(payload)):
                    jar.set_cookie(cookie)
            site.shared, site.version = kept, version

    async def _share(self, site: _Site, request: Request) -> None:
        """Hands over what `request` or its response has changed in this worker's jar."""
        host = urlparse_cached(request).hostname or ""
        domains = _domains(host)
        async with site.lock:
            own = _payloads(self.jars[request.meta.get("cookiejar")], domains)
            changed = {name: payload for name, payload in own.items() if site.shared.get(name) != payload}
            gone = [n for n in site.shared if n.partition("\n")[0] in domains and n not in own]
            if not changed and not gone:
                return
            if await until_redis_answers(
                lambda: self._frontier.share_cookies(site.name, changed, gone), self._frontier.patience_s
            ):
                site.shared = {n: p for n, p in site.shared.items() if n not in gone} | changed
            else:
                logger.warning("%s has too many cookies to be shared by the workers", host)

    def _warn(self) -> None:
        if self._worker is not None and self._worker.workers > 1 and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Sites set cookies, and each of the %d workers has its own: a login counts for one of them."
                ' Set FRONTIER_COOKIES = "shared"',
                self._worker.workers,
            )


_site_of = lru_cache(maxsize=_MOST_SITES)(domain_of)


def _domains(host: str) -> frozenset[str]:
    """The domains of cookies that `host` may set or be sent, as cookie jars write them."""
    names = potential_domain_matches(host)
    if "." not in host:
        names += potential_domain_matches(f"{host}.local")
    return frozenset(names)


def _payloads(jar: CookieJar, domains: frozenset[str]) -> dict[str, str]:
    """The cookies of `jar` that are of these `domains`."""
    found = {}
    for domain in domains & jar._cookies.keys():
        for path, by_name in jar._cookies[domain].items():
            for name, cookie in by_name.items():
                payload = _payload_of(cookie)
                if payload is not None:
                    found["\n".join((domain, path, name))] = payload
    return found


def _payload_of(cookie: Cookie) -> str | None:
    """`cookie` as data; None for one that is too large."""
    payload = json.dumps([getattr(cookie, name) for name, _ in _ARGUMENTS])
    return payload if len(payload) <= _MOST_COOKIE else None


def _cookie_of(payload: str) -> Cookie | None:
    """The cookie that a worker made `payload` of; None for what no worker has made."""
    try:
        values: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or len(values) != len(_ARGUMENTS):
        return None
    if not all(isinstance(value, kinds) for value, (_, kinds) in zip(values, _ARGUMENTS, strict=True)):
        return None
    return Cookie(*values)
