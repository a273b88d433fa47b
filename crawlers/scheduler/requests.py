"""Scrapy's requests to links, which are plain data, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack
from scrapy import Request, Spider
from scrapy.http import FormRequest, JsonRequest, XmlRpcRequest
from scrapy.utils.misc import load_object
from scrapy.utils.request import RequestFingerprinter

from crawlers.frontier import (
    MOST_PRIORITY,
    BadPayload,
    Found,
    FrontierError,
    Lease,
    Link,
    NotPlainData,
    Unknown,
    decode,
    encode,
    within,
)

from .callbacks import Callbacks
from .fingerprints import fingerprint_of, fingerprint_of_url
from .hostkeys import HostKeys
from .itemkinds import admit
from .marks import GIVEN_BACK, ROBOTS, START, drop_marks, waits_of

if TYPE_CHECKING:
    from scrapy.utils.request import RequestFingerprinterProtocol

__all__ = ["RequestCodec", "Stencil", "fingerprint_of"]

# Scrapy writes where a request was sent into its meta; a copy for another host must not inherit it.
NOT_QUEUED = ("download_slot", "download_latency", START, GIVEN_BACK, ROBOTS)
_MOST_HOST = 255  # characters
_FIELDS = ("cookies", "flags", "cb_kwargs")
# What middlewares write into the meta of a request that goes on with the page of another.
_CONTINUES = ("retry_times", "redirect_times")


def _check_scheme(url: str, error: type[FrontierError]) -> None:
    """Who can write to a queue must not read the files of the workers that read it."""
    if url[:5].lower() == "file:":
        raise error("a file: URL would read the disk of the worker that it comes to")


@dataclass(frozen=True, slots=True)
class Stencil:
    """A link from which others are made that differ in their URL only: their payload is `before`, the URL and
    `after`.
    """

    host: str
    priority: int
    continues: bool
    before: bytes
    after: bytes
    max_bytes: int

    def found(self, url: str, fingerprint: int | None, host: str | None = None) -> Found | None:
        """The link to `url`, on the same host if none is given; None where it or its host is too large."""
        payload: bytes = self.before + msgpack.packb(url) + self.after
        host = host or self.host
        if len(payload) > self.max_bytes or len(host) > _MOST_HOST:
            return None
        return Found(fingerprint, host, self.priority, payload, self.continues)


def _is_plain(request: Request) -> bool:
    """Its URL alone tells it from others."""
    return request.method == "GET" and not request.body and not request.meta.get("verbatim_url")


class RequestCodec:
    """Turns the requests of one spider into links and back.

    `errback` is given to requests that have none of their own. `classes` are paths of further request
    classes that may come out of the queue. `host_keys` say under which host a request is queued.
    """

    def __init__(
        self,
        spider: Spider,
        fingerprinter: RequestFingerprinterProtocol,
        errback: Callable[..., Any],
        max_bytes: int,
        classes: Iterable[str] = (),
        host_keys: HostKeys | None = None,
    ) -> None:
        self.run = 0
        self.is_scrapys = type(fingerprinter) is RequestFingerprinter
        """The fingerprint of a request follows from what Scrapy says: its URL, method and body."""
        self._spider = spider
        admit(spider, spider.settings.getlist("SPIDER_MODULES") if hasattr(spider, "settings") else ())
        self._errback = errback
        self._fingerprint = fingerprinter.fingerprint
        self._max_bytes = max_bytes
        self._host_keys = host_keys or HostKeys("host")
        self._callbacks = Callbacks(spider)
        kinds = (FormRequest, JsonRequest, XmlRpcRequest, *map(load_object, classes))
        self._kinds: dict[str, type[Request]] = {kind.__name__: kind for kind in kinds}

    def fingerprint(self, request: Request) -> int | None:
        """What stands for `request` in the seen set; None for one that is not to be deduplicated. A start
        request that asks for no deduplication has one for each run.
        """
        if not request.dont_filter:
            if self.is_scrapys and _is_plain(request):
                return fingerprint_of_url(request.url)
            return fingerprint_of(self._fingerprint(request))
        if START in request.meta:
            digest, time = self._fingerprint(request), request.meta[START]
            return fingerprint_of(digest, start_of_run=self.run, time=time)
        return None

    def to_found(self, request: Request, fingerprint: int | None) -> Found:
        """`request` as it goes into the frontier. Raises :class:`NotPlainData`."""
        _check_scheme(request.url, NotPlainData)
        host = self._host_keys.of(request)
        if not host or len(host) > _MOST_HOST or any(c.isspace() for c in host):
            raise NotPlainData(f"{request.url[:200]!r} has no host that could be asked")
        priority = within(request.priority, -MOST_PRIORITY, MOST_PRIORITY, 0)
        continues = any(name in request.meta for name in _CONTINUES) or bool(
            waits_of(request.meta, request.url)
        )
        payload = encode(self._to_link(request), self._max_bytes)
        return Found(fingerprint, host, priority, payload, continues, START in request.meta)

    def stencil(self, request: Request) -> Stencil:
        """What links like `request` have in common. Raises :class:`NotPlainData`, also where each URL is
        queued under a host of its own, as with delays for each proxy.
        """
        if self._host_keys.exit_of(request):
            raise NotPlainData("its URL decides through which proxy it goes")
        found = self.to_found(request, None)
        # Nothing but the kind of an array and the version comes before the URL.
        before, _, after = found.payload.partition(msgpack.packb(request.url))
        return Stencil(found.host, found.priority, found.continues, before, after, self._max_bytes)

    def _to_link(self, request: Request) -> Link:
        link = Link(
            url=request.url,
            callback=self._name(request.callback, "callback"),
            errback=self._name(request.errback, "errback"),
            method=request.method,
            body=request.body,
            encoding=request.encoding,
            dont_filter=request.dont_filter,
        )
        if request.meta:
            link.meta = {k: v for k, v in request.meta.items() if k not in NOT_QUEUED}
        if request.headers:
            link.headers = dict(request.headers)
        for name in _FIELDS:
            if value := getattr(request, name):
                setattr(link, name, value)
        if type(request) is not Request:
            self._add_kind(link, request)
        return link

    def _add_kind(self, link: Link, request: Request) -> None:
        kind = type(request).__name__
        if self._kinds.get(kind) is not type(request):
            raise NotPlainData(
                f"requests of the class {kind} can't be queued; name it in FRONTIER_REQUEST_CLASSES"
            )
        link.kind = kind
        own = (name for name in request.attributes if name not in Request.attributes)
        link.extra = {name: getattr(request, name) for name in own}

    def _name(self, method: Callable[..., Any] | None, role: str) -> str | None:
        return None if method is None or method == self._errback else self._callbacks.name_of(method, role)

    def to_request(self, lease: Lease) -> Request:
        """The request of a `lease`. Raises :class:`BadPayload`."""
        if len(lease.payload) > self._max_bytes:
            raise BadPayload(f"it is {len(lease.payload):,} bytes long, {self._max_bytes:,} are allowed")
        link = decode(lease.payload)
        drop_marks(link.meta)
        _check_scheme(link.url, BadPayload)
        kind = self._kinds.get(link.kind) if link.kind else Request
        if kind is None:
            error = Unknown if link.kind.isidentifier() else BadPayload
            raise error(f"its class {link.kind[:100]!r} is not one that may be queued")
        try:
            return kind(
                link.url,
                callback=self._method(link.callback),
                errback=self._method(link.errback) or self._errback,
                method=link.method,
                headers=link.headers,
                body=link.body,
                cookies=link.cookies,  # type: ignore[arg-type]  # checked by Scrapy where it is used
                meta=link.meta,
                encoding=link.encoding,
                priority=lease.priority,
                dont_filter=link.dont_filter,
                flags=link.flags,
                cb_kwargs=link.cb_kwargs,
                **link.extra,
            )
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise BadPayload(f"no request can be made of it: {error}") from None

    def _method(self, name: str | None) -> Callable[..., Any] | None:
        return None if name is None else self._callbacks.find(name)
