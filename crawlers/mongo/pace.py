"""How much goes to MongoDB at once, and how long that may take, so that a slow line carries what it can.

What took too long is halved; what is quick grows again. So a write takes a quarter to a half of the time it
has, whatever the line carries. A single document that is too slow gets more time, in proportion to its size.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import pymongo
from pymongo.errors import ServerSelectionTimeoutError

logger = logging.getLogger(__name__)

SLOWEST_BYTES_PER_S = 16 * 1024
"""A line that carries less is taken for dead: a document of 16 MB has at most 1,024 s."""

_GROW_BELOW, _SHRINK_ABOVE = 0.25, 0.75


class Sized(Protocol):
    """Something that takes `size` bytes."""

    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Sized)


class Pace:
    """The pace of one way to MongoDB, `name` in messages: from `most_bytes` at once, each in `timeout_s`."""

    def __init__(self, name: str, timeout_s: float, most_bytes: int) -> None:
        self.bytes = most_bytes
        """What may go at once now. Something larger goes alone."""
        self._name = name
        self._timeout_s = self._patience_s = timeout_s
        self._most_bytes = most_bytes
        self._said = False

    def limit_s(self, batch: Sequence[Sized]) -> float:
        """The time that `batch` has."""
        if len(batch) > 1:
            return self._timeout_s
        return max(self._timeout_s, min(self._patience_s, batch[0].size / SLOWEST_BYTES_PER_S))

    def limit(self, batch: Sequence[Sized]) -> AbstractContextManager[None]:
        """Within this, calls of pymongo have the time that `batch` has."""
        return pymongo.timeout(self.limit_s(batch))

    def went(self, batch: Sequence[Sized], took_s: float) -> None:
        """`batch` was stored."""
        size, share = _size(batch), took_s / self._timeout_s
        if share < _GROW_BELOW:
            self.bytes = min(self._most_bytes, max(self.bytes, 2 * size))
        elif share > _SHRINK_ABOVE:
            self.bytes = max(1, min(self.bytes, size // 2))
        if len(batch) == 1 and took_s < self._patience_s * _GROW_BELOW:
            self._patience_s = max(self._timeout_s, self._patience_s / 2)

    def timed_out(self, batch: Sequence[Sized]) -> None:
        """`batch` was too slow, unless the slowest line had carried it: then its server doesn't answer."""
        size = _size(batch)
        if size <= SLOWEST_BYTES_PER_S * self._timeout_s:
            return
        self.bytes = max(1, size // 2)
        if len(batch) == 1 and self.limit_s(batch) < size / SLOWEST_BYTES_PER_S:
            self._patience_s = 2 * self.limit_s(batch)
            self._say_once(size)

    def split(self, batch: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
        """What of `batch` may go at once, at least one of it, and the rest."""
        size = 0
        for index, part in enumerate(batch):
            size += part.size
            if index and size > self.bytes:
                return batch[:index], batch[index:]
        return batch, ()

    def _say_once(self, size: int) -> None:
        if not self._said:
            self._said = True
            logger.warning(
                "The line to MongoDB is slow: a document of %d bytes for %s wasn't stored within"
                " MONGO_TIMEOUT_S, %g s. It gets more time, up to %.0f s",
                *(size, self._name, self._timeout_s, size / SLOWEST_BYTES_PER_S),
            )


def _size(batch: Sequence[Sized]) -> int:
    return sum(part.size for part in batch)


def is_time_out(error: Exception) -> bool:
    """Whether `error` says that what was sent took too long."""
    return bool(getattr(error, "timeout", False)) and not isinstance(error, ServerSelectionTimeoutError)
