"""What could not be stored is kept whole: why, what it was, and its content as JSON, however large.

A document of the collection `refused`:

    _id, item (its class), reason, url (where it has one), preview (its beginning), bytes (of its content),
    content, or, beyond 4 MB, parts: so many documents of `refused_parts` have it, `<_id> 000000` and so on

In the content a value that JSON lacks is text, bytes are `{"base64": …}`, and half a character is `\\ud800`.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

from itemadapter import ItemAdapter

from crawlers.items import BadItem, digest, document_of
from crawlers.values import NotStorable, key_of

from .writer import Writer

REFUSED = "refused"
PARTS = "refused_parts"
"""The collections of what could not be stored."""

PART_BYTES = 4_000_000
"""Of content in one document."""

MAX_PREVIEW_BYTES = 4096
MAX_TEXT_BYTES = 2048
"""How much of a URL and of a reason is kept."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


async def keep(writer: Writer, item: Any, reason: str) -> dict[str, Any]:
    """Keep `item` among the refused; again is an update. Returns what describes it.

    Raises :class:`Refused` where not even that can be stored.
    """
    parts = list(_parts(item))
    fields = dict(ItemAdapter(item)) if ItemAdapter.is_item(item) else {}
    description: dict[str, Any] = {
        "_id": _identity(item, parts),
        "item": type(item).__name__,
        "reason": bounded(reason),
        "preview": parts[0][:MAX_PREVIEW_BYTES],
        "bytes": sum(map(len, parts)),
    }
    if isinstance(url := fields.get("url"), str):
        description["url"] = bounded(url)
    if len(parts) == 1:
        content: dict[str, Any] = {"content": parts[0]}
    else:
        content = {"parts": len(parts)}
        for number, part in enumerate(parts):
            name = f"{description['_id']} {number:06d}"
            await writer.write(PARTS, {"_id": name, "content": part})
    # Last, so that what it speaks of is there.
    await writer.write(REFUSED, {**description, **content})
    return description


def bounded(text: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The beginning of `text`, without what UTF-8 can't hold."""
    start = text[:max_bytes].encode("utf-8", "backslashreplace")
    return start[:max_bytes].decode("utf-8", "ignore")


def _identity(item: Any, parts: list[str]) -> str:
    """Its own where it has one, else that of its content."""
    try:
        return digest([type(item).__name__, digest(document_of(item)["_id"])])
    except (BadItem, TypeError, ValueError, RecursionError):
        hashed = blake2b(type(item).__name__.encode(), digest_size=16)
        for part in parts:
            hashed.update(part.encode("ascii"))
        return hashed.hexdigest()


def _parts(item: Any) -> Iterator[str]:
    """The content in pieces of one size; it is ASCII, so that any cut will do."""
    held: list[str] = []
    size = 0
    for text in _spelled(item):
        for start in range(0, len(text), PART_BYTES):
            piece = text[start : start + PART_BYTES]
            if size + len(piece) > PART_BYTES:
                yield "".join(held)
                held, size = [], 0
            held.append(piece)
            size += len(piece)
    yield "".join(held)


class _End:
    """The end of what is being spelled."""

    def __init__(self, text: str, of: Any = None) -> None:
        self.text = text
        self.of = of


def _spelled(item: Any) -> Iterator[str]:
    """`item` as JSON. It needs no stack, however deep it is, and says so where a value contains itself."""
    todo: list[Any] = [item]
    within: set[int] = set()
    while todo:
        value = todo.pop()
        if isinstance(value, _End):
            within.discard(id(value.of))
            yield value.text
            continue
        inner = _inner(value)
        if inner is None:
            yield _leaf(value)
        elif id(value) in within:
            yield '"(contains itself)"'
        else:
            within.add(id(value))
            opening, rest = inner
            yield opening
            todo.extend(reversed([*rest, _End("}" if opening == "{" else "]", value)]))


def _inner(value: Any) -> tuple[str, list[Any]] | None:
    """How `value` opens and what is in it, separated; None where it is no container."""
    if isinstance(value, Mapping) or ItemAdapter.is_item(value):
        fields = value if isinstance(value, Mapping) else ItemAdapter(value)
        pairs = ((f"{json.dumps(_key(name))}:", element) for name, element in fields.items())
        return "{", [x for i, (k, v) in enumerate(pairs) for x in (_End("," * bool(i) + k), v)]
    if isinstance(value, list | tuple | set | frozenset):
        return "[", [x for i, v in enumerate(value) for x in (_End("," * bool(i)), v)]
    return None


def _key(name: Any) -> str:
    try:
        return name if type(name) is str else key_of(name)
    except NotStorable:
        return _described(name)


def _leaf(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return json.dumps({"base64": b64encode(value).decode("ascii")})
    if isinstance(value, int) and value.bit_length() > 10_000:
        return json.dumps(hex(value))
    if value is None or isinstance(value, str | int | float):
        return json.dumps(value)
    return json.dumps(_described(value))


def _described(value: Any) -> str:
    """The same in every process."""
    try:
        return _ADDRESS.sub("", str(value))
    except Exception as error:  # its own __str__ may raise anything
        return f"a {type(value).__name__}, which can't be spelled out: {type(error).__name__}"
