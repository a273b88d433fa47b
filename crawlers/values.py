"""What becomes of a value on its way to MongoDB: itself, or what comes nearest to it.

| Python | in MongoDB |
| --- | --- |
| None, bool, int, float (NaN too), str, bytes, list, `uuid.UUID`, types of `bson` | itself |
| datetime | itself, in UTC, to the millisecond |
| date | the datetime of its midnight, UTC |
| time | text as of ISO 8601, `12:30:00` |
| timedelta | seconds, a float |
| Decimal, int beyond 64 bits | Decimal128; text where that has too few digits (34) |
| Fraction, complex, IP addresses, `pathlib` paths | text |
| Enum | its value |
| tuple, deque, range, views of a dict | list |
| set, frozenset | list, sorted |
| bytearray, memoryview, array.array | bytes; array.array a list |
| numpy's arrays and numbers | lists, and Python's numbers |
| items of all kinds, dataclasses, mappings | a document |
| a str with half a character | with U+FFFD in its place |
| a key that is no str | text, as JSON spells it: `1`, `true`, `null`; else as above |
| a key with NUL | with U+FFFD in its place |
| the key `$ref` beside `$id` | with U+FF04 for its `$`: MongoDB's clients take the two for a reference |

Other keys with `$` or `.` and empty ones are stored as they are. Everything else is refused, and so are two
keys that become one, and what contains itself: :class:`NotStorable` names the place.
"""

from __future__ import annotations

import array
import json
from collections import deque
from collections.abc import ItemsView, Iterable, KeysView, Mapping, ValuesView
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, DecimalException, Inexact
from enum import Enum
from fractions import Fraction
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import PurePath
from re import Pattern
from typing import Any
from uuid import UUID

from bson.decimal128 import Decimal128, create_decimal128_context
from itemadapter import ItemAdapter

_Decimals = create_decimal128_context()
_Decimals.traps[Inexact] = True
_AS_TEXT = (
    *(Fraction, complex, PurePath),
    *(IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
)
_AS_LIST = (list, tuple, deque, range, array.array, KeysView, ValuesView, ItemsView)


class NotStorable(ValueError):
    """A value for which MongoDB has nothing near; the text says where it is and what."""


def plain(value: Any) -> Any:
    """`value` with the items in it as dicts, sequences as lists and keys as text; other values as they are.

    It is what an item's identity follows from. itemadapter's own `asdict` takes twice as long. Raises
    :class:`NotStorable`; RecursionError where it is nested too deep or contains itself.
    """
    if value is None or isinstance(value, str | int | float | datetime | bytes):
        return value
    if isinstance(value, _AS_LIST):
        return [plain(element) for element in value]
    if isinstance(value, Mapping) or ItemAdapter.is_item(value):
        fields = value if isinstance(value, Mapping) else ItemAdapter(value)
        return _document(fields, plain)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return plain(value.tolist()) if _is_numpy(value) else value


def storable(value: Any) -> Any:
    """What of `value` is stored, by the table above. Raises as :func:`plain` does."""
    if isinstance(value, Enum):
        return storable(value.value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal | date | time | timedelta):
        return _structure(value)
    return _number_or_moment(value)


def _structure(value: Any) -> Any:
    if _is_numpy(value):
        return storable(value.tolist())
    if isinstance(value, Mapping) or ItemAdapter.is_item(value):
        fields = value if isinstance(value, Mapping) else ItemAdapter(value)
        return _without_reference(_document(fields, storable))
    if isinstance(value, _AS_LIST):
        return [_inside(index, element, storable) for index, element in enumerate(value)]
    if isinstance(value, set | frozenset):
        return _sorted(map(storable, value))
    if isinstance(value, _AS_TEXT):
        return _text(str(value))
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if value is None or isinstance(value, bool | float | bytes | UUID | Pattern) or _is_bson(value):
        return value
    raise NotStorable(f"a {type(value).__name__} is not plain data")


def _number_or_moment(value: Any) -> Any:
    match value:
        case datetime():
            return value
        case date():
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        case time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case int() if -(2**63) <= value < 2**63:
            return int(value)
        case _:
            return _decimal(value)


def _decimal(value: int | Decimal) -> Decimal128 | str:
    """To the last digit, or as text. A number of a site may have so many digits that str() takes minutes."""
    if isinstance(value, int) and value.bit_length() > 128:
        return hex(value) if value.bit_length() > 10_000 else str(value)
    number = Decimal(value)
    try:
        return Decimal128(_Decimals.create_decimal(number))
    except DecimalException:  # digits or a range that Decimal128 lacks
        return str(number)


def _document(fields: Mapping[Any, Any] | ItemAdapter, convert: Any) -> dict[str, Any]:
    document = {
        name if type(name) is str and convert is plain else key_of(name): _inside(name, value, convert)
        for name, value in fields.items()
    }
    if len(document) < len(fields):
        raise NotStorable("two of its keys become the same text")
    return document


def key_of(name: Any) -> str:
    """The text that stands for the key `name`. Raises :class:`NotStorable`."""
    if isinstance(name, Enum):
        return key_of(name.value)
    if name is None or isinstance(name, bool | float):
        return json.dumps(name)
    if isinstance(name, date | time):
        return name.isoformat()
    if isinstance(name, (str, bytes, int, Decimal, UUID, timedelta, *_AS_TEXT)):
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str.__str__(str(name))
        return _text(text).replace("\0", "\ufffd")
    raise NotStorable(f"a key of it is a {type(name).__name__}: keys must be text")


def _inside(name: Any, value: Any, convert: Any) -> Any:
    if type(value) is str and convert is plain:
        return value
    try:
        return convert(value)
    except NotStorable as error:
        raise NotStorable(f"{str(name)[:100]}: {error}") from None


def _without_reference(document: dict[str, Any]) -> dict[str, Any]:
    """MongoDB's clients make a reference of what has both keys, in place of a document."""
    if "$ref" not in document or "$id" not in document:
        return document
    return {"\uff04ref" if name == "$ref" else name: value for name, value in document.items()}


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # as the WHATWG's USVString
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return str.__str__(value)


def _sorted(values: Iterable[Any]) -> list[Any]:
    elements = list(values)
    try:
        return sorted(elements)
    except TypeError:
        return sorted(elements, key=lambda element: (type(element).__name__, repr(element)))


def _is_numpy(value: Any) -> bool:
    return type(value).__module__ == "numpy" and hasattr(value, "tolist")


def _is_bson(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "bson"
