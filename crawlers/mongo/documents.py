"""A document as MongoDB gets it: whatever it holds is a value, never an operator, a path or a reference.

The filter compares `_id` by `$eq`, so that a mapping in it is a value. The fields go by `$set`, or, where a
name of theirs would mean something there, as a literal of an aggregation, which takes MongoDB twice the time.

An `_id` is text, bytes, a number, a moment, a bool, a UUID, an ObjectId or a mapping of these, as MongoDB has
it. What would be stored as something else, and so might be another document's, is refused; so are NaN, lists,
and `$` at the beginning of a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from bson.errors import BSONError
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne

from crawlers.values import NotStorable, storable

from .errors import Refused, first_words

Document = Mapping[str, Any]

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 - 1024
"""MongoDB's limit is 16 MiB, of which `_id`, `first_seen` and the update's own fields take some."""

MAX_NAME_BYTES = 180
"""Of a collection; MongoDB's limit is 255 with the name of the database, which has at most 63."""

# Written with every document.
_RESERVED = ("first_seen", "last_seen")

_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
_ERRORS = (BSONError, ValueError, TypeError, OverflowError, RecursionError)

_ID_TYPES = (str, bytes, bool, int, float, datetime, UUID, Decimal, ObjectId, Decimal128)


def check_name(collection: str) -> None:
    """Raises :class:`Refused` for the name of a collection that is MongoDB's own, or none."""
    try:
        size = len(collection.encode())
    except UnicodeEncodeError:
        raise Refused(f"MongoDB has no such collection: {collection!r} is no Unicode") from None
    if collection.startswith("system.") or ".system." in collection or "$" in collection:
        raise Refused(f"the collection {collection!r} is MongoDB's own: choose another name")
    if size > MAX_NAME_BYTES:
        raise Refused(f"MongoDB has no such collection: {collection[:50]!r}… takes {size} bytes")


def encode(document: Document) -> tuple[UpdateOne, int]:
    """The upsert that stores `document` under its `_id`, and its size in bytes.

    Raises :class:`Refused` for what has no form in BSON, is too large, or can't be an `_id`.
    """
    for name in _RESERVED:
        if name in document:
            raise Refused(f"the field {name!r} is written with every document: rename yours")
    now = datetime.now(UTC)
    identity, id_size = _identity(document["_id"])
    fields = _encoded(
        {**{name: value for name, value in document.items() if name != "_id"}, "last_seen": now}
    )
    size = len(fields) + id_size
    if size > MAX_DOCUMENT_BYTES:
        raise Refused(f"it takes {size} bytes, and MongoDB stores at most {MAX_DOCUMENT_BYTES}")
    update = _update(RawBSONDocument(fields), any(map(_means_something, document)), now)
    return UpdateOne({"_id": {"$eq": identity}}, update, upsert=True), size


def _update(fields: RawBSONDocument, has_odd_names: bool, now: datetime) -> Any:
    if not has_odd_names:
        return {"$set": fields, "$setOnInsert": {"first_seen": now}}
    first_seen = {"first_seen": {"$ifNull": ["$first_seen", now]}}
    return [{"$replaceWith": {"$mergeObjects": ["$$ROOT", {"$literal": fields}, first_seen]}}]


def _means_something(name: Any) -> bool:
    """Whether `$set` would take `name` for more than the name of a field."""
    return not isinstance(name, str) or not name or "." in name or "$" in name


def _encoded(fields: dict[str, Any]) -> bytes:
    """As they are where BSON has all of them, else what comes nearest: most items need no second look."""
    try:
        encoded = bson.encode(fields, codec_options=_CODEC)
        if b"$ref\0" not in encoded:
            return encoded
    except _ERRORS:
        pass
    try:
        return bson.encode(storable(fields), codec_options=_CODEC)
    except RecursionError:
        raise Refused("it contains itself or is nested too deep") from None
    except NotStorable as error:
        raise Refused(str(error)) from None
    except _ERRORS as error:
        raise Refused(first_words(error)) from None


def _identity(value: Any) -> tuple[Any, int]:
    """What `_id` is to be, and its size."""
    try:
        if (fault := _fault(value)) is None:
            identity = storable(value) if isinstance(value, int | Decimal) else value
            if isinstance(identity, str) == isinstance(value, str):
                return identity, len(bson.encode({"_id": identity}, codec_options=_CODEC))
            fault = "it has too many digits"
    except _ERRORS as error:
        fault = first_words(error)
    raise Refused(f"its _id can't be one, because {fault}: give the item another, or none")


def _fault(value: Any) -> str | None:
    """Why `value` can't be an `_id`, None if it can."""
    if isinstance(value, Mapping):
        if any(not isinstance(name, str) or name.startswith("$") for name in value):
            return "a key in it is no text or begins with $"
        return next(filter(None, map(_fault, value.values())), None)
    if value != value:
        return "NaN is no number"
    return None if value is None or isinstance(value, _ID_TYPES) else f"it is a {type(value).__name__}"
