"""Items: what spiders find, typed, and what makes each the one that it is.

Any item that itemadapter knows can be stored: dataclasses, `scrapy.Item`, attrs, pydantic, dicts.
Its class may say two things about itself:

- `identity`: the names of the fields that tell one item from another. Two items that agree in these
  are one document. Without it the whole content is the identity.
- `collection`: the MongoDB collection. Without it: `products` for a class `Product`, `items` for
  dicts.

An item with a field `_id` brings its identity along, unless that is None or empty: then it counts as absent.
What can be an `_id` is said in `crawlers/mongo/documents.py`, what becomes of all other values in
`crawlers/values.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from itemadapter import ItemAdapter

from .values import NotStorable, plain

_JUST_NOW_S = 60


@dataclass(slots=True)
class Quote:
    """A quotation as quotes.toscrape.com shows it; the same one stands on several of its pages."""

    identity: ClassVar[tuple[str, ...]] = ("text", "author")
    collection: ClassVar[str] = "quotes"

    text: str
    author: str
    tags: list[str]
    url: str


@dataclass(slots=True)
class Page:
    """A page that was fetched.

    `url` is where it was found in the end, after redirects. `text_length` counts the characters of
    its visible text with whitespace collapsed, `links` the distinct pages it links to; both are 0
    and `title` is None where it is not HTML. `content_type` is the bare type, such as `text/html`.
    `fetched_at` is in UTC. `depth` 0 is a start page. `referrer` is the page it was found on.
    """

    identity: ClassVar[tuple[str, ...]] = ("url",)
    collection: ClassVar[str] = "pages"

    url: str
    status: int
    title: str | None
    text_length: int
    links: int
    content_type: str | None
    fetched_at: datetime
    depth: int
    referrer: str | None


class BadItem(ValueError):
    """An item that can't be stored as it is; the text says which field is wrong and how."""


def validate(item: Any) -> None:
    """Hold a dataclass item against its type hints; items of other kinds pass.

    Raises :class:`BadItem` naming the first field that does not fit, its type and the value's.
    """
    if not is_dataclass(item):
        return
    cls: type = type(item)
    for name, hint in _hints(cls):
        value = getattr(item, name, None)
        if not _fits(value, hint):
            raise BadItem(f"{cls.__name__}.{name} must be {_name(hint)}, not {_kind(value)}")


@lru_cache(maxsize=256)
def _hints(cls: Any) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(cls)
    return tuple((field.name, hints[field.name]) for field in fields(cls))


def _fits(value: Any, hint: Any) -> bool:
    """Whether `value` is a `hint`; one beyond classes, unions and builtin collections fits all."""
    origin: Any = get_origin(hint)
    if origin is None:
        return _is_a(value, hint)
    arguments = get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if not isinstance(origin, type):
        return True
    if not isinstance(value, origin):
        return False
    if isinstance(value, dict):
        return all(_fits(k, arguments[0]) and _fits(v, arguments[1]) for k, v in value.items())
    if isinstance(value, list | set | frozenset):
        return all(_fits(element, arguments[0]) for element in value)
    return True


def _is_a(value: Any, hint: Any) -> bool:
    if hint in (None, NoneType):
        return value is None
    if not isinstance(hint, type):
        return True
    if isinstance(value, bool):
        return hint in (bool, object)
    return isinstance(value, (int, float) if hint is float else hint)


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


def _kind(value: Any) -> str:
    """The type of `value`, with those of its elements where it is a list."""
    if value is None:
        return "None"
    if not isinstance(value, list):
        return type(value).__name__
    return f"list[{' | '.join(sorted({type(element).__name__ for element in value}))}]"


def collection_of(item: Any) -> str:
    """The MongoDB collection of `item`."""
    declared = _declared(item.__class__, "collection")
    if isinstance(declared, str):
        return declared
    if isinstance(item, dict):
        return "items"
    name = type(item).__name__.lower()
    return name if name.endswith("s") else f"{name}s"


def document_of(item: Any) -> dict[str, Any]:
    """The fields of `item` as plain data, with its `_id`.

    The `_id` is 32 hexadecimal digits that follow from the identity alone, in every process and
    version. Raises :class:`BadItem` where a field of the identity is missing or isn't plain data.
    """
    if not ItemAdapter.is_item(item):
        raise BadItem(f"a {type(item).__name__} is not an item")
    try:
        document: dict[str, Any] = plain(item)
    except RecursionError:
        raise BadItem(f"{type(item).__name__} contains itself or is nested too deep") from None
    except NotStorable as error:
        raise BadItem(f"{type(item).__name__} can't be identified: {error}") from None
    if document.get("_id", "") not in (None, ""):
        return document
    document.pop("_id", None)
    identity = _declared(item.__class__, "identity")
    basis = _identifying(item, document, identity) if identity else document
    try:
        return {"_id": digest(basis), **document}
    except (TypeError, ValueError, RecursionError) as error:
        raise BadItem(f"{type(item).__name__} can't be identified: {error}") from None


def _identifying(item: Any, document: Mapping[str, Any], identity: tuple[str, ...]) -> list[Any]:
    for name in identity:
        if document.get(name) is None:
            raise BadItem(f"{type(item).__name__}.{name} is missing, and it identifies the item")
    return [document[name] for name in identity]


@lru_cache(maxsize=256)
def _declared(cls: type, name: str) -> Any:
    """What a class of items says about itself under `name`, unless that is one of its fields."""
    own = ItemAdapter.get_field_names_from_class(cls) or ()
    return None if name in own else getattr(cls, name, None)


def passing_fields(item: Any) -> list[str]:
    """The fields that give an item without an identity of its own another one each time that it is made.

    They hold this moment, as a datetime, text as of ISO 8601 or a Unix time, or a UUID that is random.
    """
    fields = ItemAdapter(item)
    if _declared(item.__class__, "identity") or fields.get("_id") not in (None, ""):
        return []
    return [str(name) for name, value in fields.items() if _is_passing(value)]


def _is_passing(value: Any) -> bool:
    if isinstance(value, UUID):
        return value.version in (1, 4, 6, 7)
    if isinstance(value, str) and 19 <= len(value) <= 32:
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return False
    if isinstance(value, datetime):
        now = datetime.now(UTC)
        here = [now] if value.tzinfo else [now.replace(tzinfo=None), datetime.now()]
        return any(abs((moment - value).total_seconds()) < _JUST_NOW_S for moment in here)
    if isinstance(value, int | float) and not isinstance(value, bool):
        now_s = time.time()
        return any(abs(now_s * unit - value) < _JUST_NOW_S * unit for unit in (1, 1000))
    return False


def digest(value: Any) -> str:
    """128 bits that stand for plain data, as hexadecimal digits; a dict's order has no part in it.

    JSON keeps the borders of what it holds. Raises TypeError or ValueError for what isn't data.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_tagged)
    return blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _tagged(value: Any) -> list[Any]:
    """What JSON lacks, together with its type, so that it differs from a string that looks so."""
    kind = type(value).__name__
    if isinstance(value, datetime) and value.tzinfo is not None:
        return [kind, value.astimezone(UTC).isoformat()]
    if isinstance(value, bytes):
        return [kind, value.hex()]
    if isinstance(value, set | frozenset):
        return [kind, sorted(map(digest, value))]
    text_of: object = type(value).__str__
    if text_of is object.__str__:
        raise TypeError(f"a {kind} is not plain data")
    return [kind, str(value)]
