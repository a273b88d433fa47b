"""What people push to a list of start URLs: a plain URL, or a JSON message as scrapy-redis knows them.

    http://example.com/
    {"url": "http://example.com/", "method": "POST", "meta": {"job": 7}, "formdata": {"q": "x"}}

A spider of scrapy-redis' classes takes fields that a request doesn't have for form data, as it always did,
and with FRONTIER_STOCK_MESSAGES all but `url`, `method` and `meta`. Other spiders refuse unknown fields. A
field of null is as good as none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.http import FormRequest
from scrapy_redis.spiders import RedisMixin

from crawlers.pushed import objection

if TYPE_CHECKING:
    from scrapy import Spider


class BadEntry(ValueError):
    """An entry of which no request can be made; the text says why."""


# The fields of a message and their types in JSON.
_FIELDS: dict[str, type] = {
    "url": str,
    "method": str,
    "headers": dict,
    "body": str,
    "cookies": dict,
    "meta": dict,
    "priority": int,
    "dont_filter": bool,
    "cb_kwargs": dict,
    "flags": list,
    "encoding": str,
    "callback": str,
    "formdata": dict,
}
_STOCK_FIELDS = ("url", "method", "meta")
_TAKEN_FIELDS = ("headers", "cookies", "body", "formdata")
# RFC 9110, 5.6.2; longer than any that is known.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_BREAKS = re.compile(r"[\0\r\n]")
_WORDS = {str: "a string", dict: "an object", int: "a whole number", bool: "true or false", list: "a list"}


def reads_utf8(spider: Spider) -> bool:
    """Whether what `spider` is fed is UTF-8."""
    return _encoding(spider).lower().replace("_", "-") in ("utf-8", "utf8")


def _encoding(spider: Spider) -> str:
    return getattr(spider, "redis_encoding", None) or "utf-8"


def request_of(
    entry: bytes, spider: Spider, allowed: Collection[str] = (), *, stock: bool = False
) -> Request:
    """The request that `entry` asks `spider` for; not deduplicated, as with scrapy-redis. `allowed`: keys of
    its meta that may steer the crawler, see :mod:`crawlers.pushed`. `stock`: FRONTIER_STOCK_MESSAGES.

    Raises :class:`BadEntry`.
    """
    encoding = _encoding(spider)
    try:
        text = entry.decode(encoding).strip()
    except (UnicodeDecodeError, LookupError) as error:
        raise BadEntry(f"it is not {encoding}: {error}") from None
    if not text.startswith("{"):
        return Request(_checked_url(text), dont_filter=True)
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadEntry(f"it starts like JSON and is none: {error}") from None
    message = {name: value for name, value in message.items() if value is not None or name not in _FIELDS}
    if "url" not in message:
        raise BadEntry('its message has no "url"')
    try:
        _check_meta(message, allowed)
        return (
            _of_redis_spider(message, stock) if isinstance(spider, RedisMixin) else _of_any(message, spider)
        )
    except BadEntry:
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise BadEntry(f"no request can be made of it: {error}") from None


def _of_redis_spider(message: dict[str, Any], stock: bool) -> Request:
    names = [name for name in _STOCK_FIELDS if name in message]
    if not stock:
        # As a value of a form such a name may be anything else.
        names += [name for name in _TAKEN_FIELDS if type(message.get(name)) is _FIELDS[name]]
    # Without a method form data would make it a POST.
    known: dict[str, Any] = {"method": "GET"} | {name: message.pop(name) for name in names}
    _check_types(known)
    formdata = known.pop("formdata", {}) | message
    if formdata and "body" in known:
        raise BadEntry(f"it has a body and form data ({', '.join(formdata)[:100]}): leave one out")
    return FormRequest(dont_filter=True, formdata=formdata or None, **known)


def _of_any(message: dict[str, Any], spider: Spider) -> Request:
    _check_types(message)
    message.setdefault("dont_filter", True)
    if "callback" in message:
        message["callback"] = _callback(message["callback"], spider)
    return FormRequest(**message) if "formdata" in message else Request(**message)


def _check_meta(message: dict[str, Any], allowed: Collection[str]) -> None:
    meta = message.get("meta")
    if isinstance(meta, dict) and (why := objection(meta, allowed)):
        raise BadEntry(why)


def _check_head(message: dict[str, Any]) -> None:
    """What would begin a line of its own in the head of an HTTP request, or in the log."""
    method = message.get("method", "GET")
    if not _TOKEN.fullmatch(method):
        raise BadEntry(f"its method {method[:100]!r} is none")
    for name, given in message.get("headers", {}).items():
        values = given if isinstance(given, list) else [given]
        if not _TOKEN.fullmatch(name) or any(_BREAKS.search(str(value)) for value in values):
            raise BadEntry(f"its header {name[:100]!r} is none that can be sent")


def _check_types(message: dict[str, Any]) -> None:
    for name, value in message.items():
        expected = _FIELDS.get(name)
        if expected is None:
            raise BadEntry(f"it has the unknown field {name!r}; known are {', '.join(_FIELDS)}")
        if type(value) is not expected:
            raise BadEntry(f"its field {name!r} must be {_WORDS[expected]}")
    _checked_url(message["url"])
    _check_head(message)


def _checked_url(url: str) -> str:
    """`url` if it can be fetched; files of a worker's own disk, for one, are not for the asking."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise BadEntry(f"{url[:200]!r} is not a URL: {error}") from None
    if parts.scheme.lower() not in {"http", "https"} or not host:
        raise BadEntry(f"{url[:200]!r} does not start with http:// or https:// and a host")
    return url


def _callback(name: str, spider: Spider) -> Any:
    method = None if name.startswith("_") else getattr(spider, name, None)
    if not callable(method):
        raise BadEntry(f"the spider has no callback {name[:100]!r}")
    return method
