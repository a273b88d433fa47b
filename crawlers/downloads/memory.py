"""How much of all bodies together a worker holds while it receives and decodes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from typing import Self

    from scrapy.crawler import Crawler

SMALL = 1024 * 1024
"""Bodies of so many bytes are neither counted nor kept waiting: other pages go on beside large ones."""


class Memory:
    """Room for `most` bytes of large bodies. Where it is used up the oldest body goes on, which ends some day
    by its size or its time, and the others wait: nobody reads from their connections. 0: no limit.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._shares: dict[Share, None] = {}  # the oldest first
        self._total = 0

    @classmethod
    def of(cls, crawler: Crawler, most: int) -> Memory:
        """The one that all parts of `crawler` share."""
        return _of.setdefault(crawler, cls(most))

    def share(self) -> Share:
        """For one body."""
        return Share(self)

    def _add(self, share: Share, size: int) -> None:
        self._shares[share] = None
        self._total += size

    def _drop(self, share: Share) -> None:
        self._shares.pop(share, None)
        self._total -= share.size
        for other in list(self._shares):
            if other.resume is not None and self._may_go_on(other):
                resume, other.resume = other.resume, None
                resume()

    def _may_go_on(self, share: Share) -> bool:
        return not self._most or self._total <= self._most or next(iter(self._shares)) is share


_of: WeakKeyDictionary[Crawler, Memory] = WeakKeyDictionary()


def _set(free: asyncio.Future[None]) -> None:
    if not free.done():
        free.set_result(None)


class Share:
    """What one body takes of it. `size`: bytes."""

    def __init__(self, memory: Memory) -> None:
        self.size = 0
        self.resume: Callable[[], None] | None = None
        self._memory = memory

    def grow(self, size: int) -> bool:
        """There are `size` bytes more. Whether it may go on; otherwise `resume`, set by the caller, is called
        when it may.
        """
        if size:
            self._memory._add(self, size)
            self.size += size
        return self._memory._may_go_on(self)

    async def room(self, size: int) -> None:
        """There are `size` bytes more; returns when it may go on."""
        if not self.grow(size):
            free = asyncio.get_running_loop().create_future()
            self.resume = partial(_set, free)
            await free

    def release(self) -> None:
        """The body is somebody else's now, or nobody's. May be called again."""
        self.resume = None
        if self.size:
            self._memory._drop(self)
            self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
