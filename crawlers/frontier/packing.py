"""An exchange as bytes. An entry that can't be written must not keep the others of its batch back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from .model import Batch, Failed, Found, Refused
from .scripts import pack_input

logger = logging.getLogger(__name__)

T = TypeVar("T")

UNPACKABLE: tuple[type[Exception], ...] = (
    OverflowError,  # a number beyond 64 bits
    TypeError,  # an object
    ValueError,  # too deep a nesting, too long a text
    AttributeError,
    RecursionError,
)
"""What an entry raises that can't be written."""

_MOST_SHOWN = 500  # characters of what can't be written that its dead letter shows


def pack_batch(batch: Batch, values: Callable[[Batch], dict[str, Any]]) -> bytes:
    """`batch` as `values` has it. A link that can't be written goes out as a dead letter, what was seen of a
    host is left out with a line in the log, a reason is replaced by one that says so.
    """
    try:
        return pack_input(values(batch))
    except UNPACKABLE:
        return pack_input(values(_mended(batch)))


def _mended(batch: Batch) -> Batch:
    found, links = _parted(batch.found, _writes_link)
    news, reports = _parted(batch.news, lambda news: pack_input({"": [news.kind, news.host, *news.values]}))
    for report, error in reports:
        logger.error("What was seen of %.200r can't be told to the other workers: %s", report.host, error)
    return replace(
        batch,
        found=found,
        news=news,
        refused=[*map(_mend_refused, batch.refused), *(_refused(link, error) for link, error in links)],
        failed=list(map(_mend_failed, batch.failed)),
    )


def _parted(entries: Iterable[T], write: Callable[[T], object]) -> tuple[list[T], list[tuple[T, Exception]]]:
    """Those that can be written, and the others with what `write` raises."""
    good, bad = [], []
    for entry in entries:
        try:
            write(entry)
            good.append(entry)
        except UNPACKABLE as error:
            bad.append((entry, error))
    return good, bad


def _writes_link(link: Found) -> bytes:
    if not isinstance(link.payload, bytes) or not isinstance(link.priority, int):
        raise TypeError("its payload must be bytes and its priority a whole number")
    return pack_input({"": [link.host, link.priority, link.fingerprint is None, link.payload]})


def _refused(link: Found, error: Exception) -> Refused:
    reason = f"it can't be written into the frontier: {error}"
    logger.error("Set aside (a link to %.200r): %s", link.host, reason)
    return Refused("request", repr(link.payload)[:_MOST_SHOWN].encode(errors="replace"), reason)


def _mend_refused(refused: Refused) -> Refused:
    if not _parted([refused], lambda refused: pack_input({"": [*_fields(refused)]}))[1]:
        return refused
    source, payload, reason = (repr(field)[:_MOST_SHOWN] for field in _fields(refused))
    return Refused(source, payload.encode(errors="replace"), reason)


def _fields(refused: Refused) -> tuple[object, object, object]:
    return refused.source, refused.payload, refused.reason


def _mend_failed(failed: Failed) -> Failed:
    if not _parted([failed], lambda failed: pack_input({"": [failed.reason, failed.final]}))[1]:
        return failed
    return Failed(
        failed.lease, f"a reason that can't be written: {repr(failed.reason)[:_MOST_SHOWN]}", failed.final
    )
