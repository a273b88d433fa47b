"""scrapy-redis' queued requests, as the frontier queues them."""

from __future__ import annotations

from typing import Any

from scrapy.http import FormRequest, JsonRequest, XmlRpcRequest

from crawlers.frontier import MOST_PRIORITY, BadPayload, Link, NotPlainData, decode, encode
from crawlers.frontier.operations import Queued, host_of_url
from crawlers.scheduler.requests import NOT_QUEUED

from .pickles import RefusedPickle, open_pickle

_KINDS = tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in (FormRequest, JsonRequest, XmlRpcRequest))
_FIELDS = ("headers", "cookies", "encoding", "dont_filter", "errback", "flags", "cb_kwargs", "method", "body")
_LINK_FIELDS = frozenset({"url", "callback", "meta", "priority", "_class", *_FIELDS})


def queued_of(pickled: bytes, max_bytes: int, priority: int | None, classes: tuple[str, ...] = ()) -> Queued:
    """The request to be queued for `pickled`; a `priority` of None: its own.

    `classes`: paths of further request classes that may be queued. Raises :class:`RefusedPickle`.
    """
    if len(pickled) > 2 * max_bytes:
        raise RefusedPickle(f"it takes more than {2 * max_bytes:,} bytes")
    request = open_pickle(pickled)
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        raise RefusedPickle("it is no request")
    link = _link_of(request, classes)
    host = host_of_url(link.url)
    if not host or len(host) > 255 or any(c.isspace() for c in host):
        raise RefusedPickle("its URL has no host")
    priority = request.get("priority", 0) if priority is None else priority
    if type(priority) is not int:
        raise RefusedPickle("its priority is no whole number")
    try:
        payload = encode(link, max_bytes)
        decode(payload, known_only=False)
    except (NotPlainData, BadPayload) as error:
        raise RefusedPickle(str(error)) from None
    return Queued(host, max(-MOST_PRIORITY, min(priority, MOST_PRIORITY)), 0, payload)


def _link_of(request: dict[str, Any], classes: tuple[str, ...]) -> Link:
    """What the dict of a request, as `Request.to_dict` makes it, stands for. Types are checked later."""
    link = Link(url=request["url"])
    for name in _FIELDS:
        if request.get(name) is not None:
            setattr(link, name, request[name])
    if request.get("callback") != "parse":
        link.callback = request.get("callback")
    meta = request.get("meta") or {}
    link.meta = {k: v for k, v in meta.items() if k not in NOT_QUEUED} if isinstance(meta, dict) else meta
    if kind := request.get("_class"):
        if kind not in (*_KINDS, *classes):
            raise RefusedPickle(f"its class {str(kind)[:100]} is not one that may be queued")
        link.kind = kind.rpartition(".")[2]
        link.extra = {name: value for name, value in request.items() if name not in _LINK_FIELDS}
    return link
