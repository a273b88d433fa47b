"""Requests that this worker can't run, and a newer one may."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy.statscollectors import StatsCollector

    from crawlers.frontier import Member

logger = logging.getLogger(__name__)

_MOST_SAID = 100  # different reasons that are logged
_MOST_REASON = 500  # characters; a reason is read by people and stays in Redis
_AT_ONCE = 128  # leases in one call, some 3 ms of Redis


class Parking:
    """Leases to be parked, see `park.lua`, for `wait_s` in all."""

    def __init__(self, wait_s: float, stats: StatsCollector) -> None:
        self._wait_s = wait_s
        self._stats = stats
        self._unknown: dict[int, str] = {}
        self._said: set[str] = set()

    def __bool__(self) -> bool:
        """Whether any wait here."""
        return bool(self._unknown)

    def add(self, lease: int, reason: str) -> None:
        """`reason`: what this worker doesn't know. Each is said once."""
        if reason not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(reason)
            logger.warning(
                "This worker can't run a request, for %s: such requests wait up to %g s for a newer worker",
                *(reason, self._wait_s),
            )
        self._stats.inc_value("frontier/unknown")
        text = f"{reason}; no worker that knows it came within {self._wait_s:g} s"
        self._unknown[lease] = text[:_MOST_REASON]

    def hand_in(self, member: Member) -> Callable[[], Awaitable[None]]:
        """A call that parks what waits here; to be repeated until it succeeds."""

        async def call() -> None:
            while self._unknown:
                some = dict(list(self._unknown.items())[:_AT_ONCE])
                dead = await member.park(some, round(self._wait_s * 1000))
                self._stats.inc_value("frontier/dead", dead)
                for lease in some:
                    self._unknown.pop(lease, None)

        return call

    def clear(self) -> None:
        """The leases are another worker's now."""
        self._unknown.clear()
