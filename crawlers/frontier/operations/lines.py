"""A crawl as JSON lines, one thing a line; what each may hold, and what makes one bad.

| kind | fields |
| --- | --- |
| `crawl` | the first line: `version`, `name`, `run`, `done`, `dropped`; 0 or 1: `scrapy_redis`, `seen_small`|
| `queued` | `url`, `host`, `priority`, `attempts`, `payload` (as it stands in Redis, in base64) |
| `dead` | the same and `reason`, `id` |
| `seen` | `fingerprints`: up to 1,000 whole numbers of 64 bits |
| `end` | the last line: `queued`, `dead`, `seen`, how many there are |
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from crawlers.frontier.codec import decode
from crawlers.frontier.exceptions import BadPayload
from crawlers.frontier.model import MOST_PRIORITY

from .crawl import Leased, Letter, Queued, is_at

VERSION = 1
_FINGERPRINTS = range(-(2**63), 2**63)
_IDS_MS = range(1, 2**45)


class BadLine(ValueError):
    """A line that can't be imported; the text says why."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The last line."""

    queued: int
    dead: int
    seen: int


@dataclass(frozen=True, slots=True)
class Begins:
    """The first line."""

    name: str
    run: int
    done: int
    dropped: int
    scrapy_redis: int
    seen_small: int


def written(kind: str, **fields: Any) -> str:
    """One line, with its end."""
    return json.dumps({"kind": kind, **fields}, separators=(",", ":")) + "\n"


def written_request(request: Queued | Leased | Letter) -> str:
    """The line of a request, queued or dead; a leased one is written as queued."""
    fields: dict[str, Any] = {
        "url": request.url,
        "host": request.host,
        "priority": request.priority,
        "attempts": request.attempts,
        "payload": base64.b64encode(request.payload).decode(),
    }
    if isinstance(request, Letter):
        return written("dead", **fields, reason=request.reason, id=request.id)
    return written("queued", **fields)


def read(line: str) -> Begins | Queued | Letter | list[int] | Ends:
    """What `line` holds. Raises :class:`BadLine`."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLine("it is no JSON") from None
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if kind not in _READERS:
        raise BadLine(f"its kind is none of {', '.join(_READERS)}")
    entry: Begins | Queued | Letter | list[int] | Ends = _READERS[kind](fields)
    return entry


def _number(fields: dict[str, Any], name: str, most: int, least: int = 0) -> int:
    value = fields.get(name)
    if type(value) is not int or not least <= value <= most:
        raise BadLine(f"its {name} is no whole number from {least} to {most}")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise BadLine(f"its {name} is no text")
    return value


def _begins(fields: dict[str, Any]) -> Begins:
    if fields.get("version") != VERSION:
        raise BadLine(f"it is of version {fields.get('version')!r}, and {VERSION} is known here")
    run, done, dropped = (_number(fields, name, 2**50) for name in ("run", "done", "dropped"))
    foreign, small = (_number(fields, name, 1) for name in ("scrapy_redis", "seen_small"))
    return Begins(_text(fields, "name"), run, done, dropped, foreign, small)


def _payload(fields: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(_text(fields, "payload"), validate=True)
    except (binascii.Error, ValueError):
        raise BadLine("its payload is no base64") from None


def _queued(fields: dict[str, Any]) -> Queued:
    payload, host = _payload(fields), _text(fields, "host")
    try:
        url = decode(payload, known_only=False).url
    except BadPayload as error:
        raise BadLine(f"its payload can't be read: {error}") from None
    if url != fields.get("url") or not host or any(c.isspace() for c in host) or not is_at(host, url):
        raise BadLine("its url and host are not those of its payload")
    priority = _number(fields, "priority", MOST_PRIORITY, -MOST_PRIORITY)
    return Queued(host, priority, _number(fields, "attempts", 10**6), payload)


def _letter(fields: dict[str, Any]) -> Letter:
    id_ms, _, sequence = _text(fields, "id").partition("-")
    if not (id_ms.isdecimal() and sequence.isdecimal() and len(id_ms + sequence) < 30):
        raise BadLine("its id is none of a stream")
    if int(id_ms) not in _IDS_MS or int(sequence) >= 2**32:
        raise BadLine("its id is out of range")
    priority = _number(fields, "priority", MOST_PRIORITY, -MOST_PRIORITY)
    attempts = _number(fields, "attempts", 10**6)
    host, reason = _text(fields, "host"), _text(fields, "reason")
    return Letter(host, priority, attempts, _payload(fields), fields["id"], reason)


def _seen(fields: dict[str, Any]) -> list[int]:
    found = fields.get("fingerprints")
    if not isinstance(found, list) or len(found) > 1000:
        raise BadLine("its fingerprints are no list of up to 1,000")
    if any(type(number) is not int or number not in _FINGERPRINTS for number in found):
        raise BadLine("its fingerprints are not whole numbers of 64 bits")
    return found


def _ends(fields: dict[str, Any]) -> Ends:
    return Ends(*(_number(fields, name, 2**50) for name in ("queued", "dead", "seen")))


_READERS: dict[str, Any] = {
    "crawl": _begins,
    "queued": _queued,
    "dead": _letter,
    "seen": _seen,
    "end": _ends,
}
