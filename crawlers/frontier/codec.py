"""What is written into a queue: a link as plain data, in msgpack.

Nothing that comes out of Redis is ever executed. A callback is a name, to be looked up in an allow-list
by whoever makes a request of the link. What has its default value is not written, so that most links
are their URL and some 20 bytes.

Payload, version 1: ``[1, url, callback, meta, rest]`` with trailing empty values left out; `rest` maps
the names of the other fields to their values. Types beyond JSON's travel as msgpack extensions, so that
a tuple comes back as a tuple.
"""

from __future__ import annotations

import datetime
import functools
from dataclasses import dataclass, field
from typing import Any

import msgpack

from .exceptions import BadPayload, NotPlainData, Unknown
from .kinds import Opaque, kind_named, kind_of

VERSION = 1
_TUPLE, _SET, _FROZENSET, _DATETIME, _DATE, _BIG_INT, _KIND = range(1, 8)
# Tuples and sets within each other: msgpack takes 40 KB of the C stack for each, of which there are 8 MB.
_MOST_NESTED = 16


@dataclass(slots=True)
class Link:
    """A page to be fetched, as plain data.

    `callback` and `errback` are names of the spider's methods, None for its default. `kind` names the
    class of the request where it is not Scrapy's plain one, `extra` holds what that class adds. A
    link's priority isn't part of it, because the queue that it stands in says it.
    """

    url: str
    callback: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    method: str = "GET"
    headers: dict[bytes, list[bytes]] = field(default_factory=dict)
    body: bytes = b""
    cookies: dict[str, Any] | list[dict[str, Any]] = field(default_factory=dict)
    encoding: str = "utf-8"
    dont_filter: bool = False
    errback: str | None = None
    flags: list[str] = field(default_factory=list)
    cb_kwargs: dict[str, Any] = field(default_factory=dict)
    kind: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


_NONE = type(None)
# The types that a field may have in a payload.
_TYPES: dict[str, tuple[type, ...]] = {
    "url": (str,),
    "callback": (str, _NONE),
    "meta": (dict,),
    "method": (str,),
    "headers": (dict,),
    "body": (bytes,),
    "cookies": (dict, list),
    "encoding": (str,),
    "dont_filter": (bool,),
    "errback": (str, _NONE),
    "flags": (list,),
    "cb_kwargs": (dict,),
    "kind": (str,),
    "extra": (dict,),
}
_REST = tuple(name for name in _TYPES if name not in {"url", "callback", "meta"})
_DEFAULTS = Link("")


def _pack_more(value: Any, depth: int) -> Any:
    """The types beyond msgpack's own that links may hold."""
    if kind_of(value) is not None:  # an enumeration may be a str or an int as well
        return _pack_kind(value, depth)
    match value:
        # Subclasses, as lxml's strings, lose what they add to the type.
        case str():
            return str.__str__(value)
        case bytes():
            return bytes(value)
        case dict():
            return dict(value)
        case list():
            return list(value)
        case float():
            return float(value)
        case tuple() if type(value) is tuple:
            return msgpack.ExtType(_TUPLE, _pack(list(value), depth))
        case set() if type(value) is set:
            return msgpack.ExtType(_SET, _pack(list(value), depth))
        case frozenset() if type(value) is frozenset:
            return msgpack.ExtType(_FROZENSET, _pack(list(value), depth))
        case datetime.datetime():
            return msgpack.ExtType(_DATETIME, value.isoformat().encode())
        case datetime.date():
            return msgpack.ExtType(_DATE, value.isoformat().encode())
        case int():  # beyond 64 bits
            return msgpack.ExtType(_BIG_INT, f"{int(value):x}".encode())
        case _:
            return _pack_kind(value, depth)


def _pack_kind(value: Any, depth: int) -> msgpack.ExtType:
    if isinstance(value, Opaque):
        return msgpack.ExtType(_KIND, _pack([value.name, value.plain], depth))
    kind = kind_of(value)
    if kind is None:
        raise NotPlainData(f"a {type(value).__name__} is not plain data")
    return msgpack.ExtType(_KIND, _pack([kind.name, kind.to_plain(value)], depth))


def _pack(value: Any, depth: int = 0) -> bytes:
    if depth > _MOST_NESTED:
        raise NotPlainData(f"tuples and sets are nested more than {_MOST_NESTED} deep")
    more = functools.partial(_pack_more, depth=depth + 1)
    packed: bytes = msgpack.packb(value, default=more, strict_types=True)
    return packed


def _unpack_more(code: int, data: bytes, depth: int, known_only: bool) -> Any:
    match code:
        case 1:
            return tuple(_unpack(data, depth, known_only))
        case 2:
            return set(_unpack(data, depth, known_only))
        case 3:
            return frozenset(_unpack(data, depth, known_only))
        case 4:
            return datetime.datetime.fromisoformat(data.decode())
        case 5:
            return datetime.date.fromisoformat(data.decode())
        case 6:
            return int(data, 16)
        case 7:
            return _value_of(_unpack(data, depth, known_only), known_only)
        case _:
            raise Unknown(f"it has a value of the unknown type {code}")


def _value_of(named: Any, known_only: bool) -> Any:
    if not isinstance(named, list) or len(named) != 2 or not isinstance(named[0], str):
        raise BadPayload("it has a value without a kind")
    name, plain = named
    if not known_only:
        return Opaque(name, plain)
    if (kind := kind_named(name)) is None:
        raise Unknown(f"it has a value of the kind {name[:100]!r}, which this worker's spider doesn't have")
    return kind.from_plain(plain)


def _unpack(data: bytes, depth: int = 0, known_only: bool = True) -> Any:
    if depth > _MOST_NESTED:
        raise BadPayload(f"it nests tuples and sets more than {_MOST_NESTED} deep")
    more = functools.partial(_unpack_more, depth=depth + 1, known_only=known_only)
    return msgpack.unpackb(data, ext_hook=more, strict_map_key=False)


def encode(link: Link, max_bytes: int) -> bytes:
    """The payload of `link`.

    Raises :class:`NotPlainData` where it holds more than data, or is larger than `max_bytes`.
    """
    rest = {name: value for name in _REST if (value := getattr(link, name)) != getattr(_DEFAULTS, name)}
    values: list[Any] = [VERSION, link.url, link.callback, link.meta, rest]
    while not values[-1]:
        values.pop()
    try:
        payload = _pack(values)
    except NotPlainData as error:
        raise NotPlainData(f"{error}{_place(link)}") from None
    except (ValueError, TypeError, RecursionError, OverflowError, UnicodeEncodeError) as error:
        raise NotPlainData(f"it can't be written as data: {error}") from None
    if len(payload) > max_bytes:
        raise NotPlainData(f"it takes {len(payload):,} bytes, {max_bytes:,} are allowed")
    return payload


def _place(link: Link) -> str:
    """Where in `link` is what can't be written, as ` (in meta['book'])`; "" where that isn't a key."""
    for name in ("meta", "cb_kwargs", "cookies", "extra"):
        values = getattr(link, name)
        for key, value in values.items() if isinstance(values, dict) else ():
            try:
                _pack(value)
            except NotPlainData:
                return f" (in {name}[{str(key)[:100]!r}])"
            except (ValueError, TypeError, RecursionError, OverflowError):
                continue
    return ""


def _of_another_version(values: Any) -> BadPayload:
    """A number beyond ours, and a URL, is what a newer worker would write."""
    newer = isinstance(values, list) and len(values) > 1 and type(values[0]) is int and values[0] > VERSION
    kind = Unknown if newer and isinstance(values[1], str) else BadPayload
    return kind(f"it is not a payload of version {VERSION}")


def decode(payload: bytes, *, known_only: bool = True) -> Link:
    """The link of a `payload`. Raises :class:`BadPayload` for anything that :func:`encode` didn't write.

    For whoever only looks at it, and may not have the spider's classes, `known_only=False` leaves values that
    are more than data as :class:`Opaque`.
    """
    try:
        values = _unpack(payload, known_only=known_only)
    except BadPayload:
        raise
    except Exception as error:  # msgpack raises many kinds for hostile bytes, RecursionError among them
        raise BadPayload(f"it is not msgpack: {type(error).__name__} {error}") from None
    if not isinstance(values, list) or not values or values[0] != VERSION:
        raise _of_another_version(values)
    if not 2 <= len(values) <= 5:
        raise BadPayload(f"it has {len(values)} parts")
    fields = dict(zip(("url", "callback", "meta"), values[1:4], strict=False))
    rest = values[4] if len(values) == 5 else {}
    if not isinstance(rest, dict):
        raise BadPayload("its fields are not a map")
    fields |= rest
    for name, value in fields.items():
        if name not in _TYPES and isinstance(name, str) and name.isidentifier() and name[0] != "_":
            raise Unknown(f"its field {name[:100]!r} is unknown")
        if name not in _TYPES or not isinstance(value, _TYPES[name]):
            raise BadPayload(f"its field {name!r} is unknown or of type {type(value).__name__}")
    return Link(**fields)
