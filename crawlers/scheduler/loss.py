"""A frontier that was lost: noticed, told apart from what can be made good, and said."""

from __future__ import annotations

import logging
from collections.abc import Callable

from crawlers.frontier import Counts, Joined, Reply

from .outbox import FORGOTTEN_S

logger = logging.getLogger(__name__)

LOST = "frontier_lost"
"""The reason with which a spider is closed whose frontier is gone."""

_STEP_S = 5  # by which Redis' clock and this worker's must differ to be spoken of
_STUCK = 5  # replies in a row, so that a repair under way isn't taken for a loss


class FrontierLost(Exception):
    """The frontier isn't what it was, and workers can't make that good; the text says what is known."""


class Watch:
    """What a worker last heard of its crawl, held against what it hears now. `clock` gives seconds.

    Made good is a Redis that went back within the run: what was done since is done again, links are found
    again with their pages, and start requests are handed in again. So is one that is empty again within the
    first seconds of a run, for then all of it is still at hand. Nothing else is.
    """

    def __init__(self, crawl: str, clock: Callable[[], float]) -> None:
        self._crawl = crawl
        self._clock = clock
        self._counts, self._run = Counts(), 0
        self._began_s = self._heard_s = clock()
        self._stuck = 0

    def joined(self, joined: Joined) -> None:
        """The worker takes part from now on."""
        self._heard_s = self._clock()
        self._run, self._began_s = joined.run, self._heard_s - joined.age_ms / 1000

    def hear(self, reply: Reply) -> None:
        """Takes over what an exchange brought. Raises :class:`FrontierLost` where keys were removed."""
        self._look_at_clock(reply.silent_ms / 1000, self._clock() - self._heard_s)
        self._counts, self._heard_s = reply.counts, self._clock()
        self._stuck = self._stuck + 1 if reply.missing < 0 else 0
        if reply.missing > 0:
            raise FrontierLost(
                f"{reply.missing} leases of this worker are gone from Redis: {self._then()}. {_ADVICE}"
            )
        if self._stuck >= _STUCK:
            now = reply.counts
            raise FrontierLost(
                f"Of the crawl {self._crawl!r} {now.queued:,} requests count as queued and {now.leased:,} as"
                f" leased that no queue and no worker has: their keys were removed. {self._then()}. {_ADVICE}"
            )

    def _look_at_clock(self, by_redis_s: float, silent_s: float) -> None:
        if by_redis_s < min(0.0, silent_s - _STEP_S):
            text = "Redis' clock went back by %.0f s: what is due is taken for no later than it could be now"
            logger.warning(text, silent_s - by_redis_s)
        elif by_redis_s > silent_s + _STEP_S:
            text = "Redis' clock went forward by %.0f s: nobody is taken for dead for that"
            logger.warning(text, by_redis_s - silent_s)

    def fenced(self, reply: Reply, worker: str, ttl_s: float, held: int) -> bool:
        """Says why this worker was fenced. Whether Redis went back for certain, so that all start requests
        are to be handed in again. Raises :class:`FrontierLost` where that isn't enough.
        """
        then, now, silent_s = self._counts, reply.counts, self._clock() - self._heard_s
        if reply.lost and self._heard_s - self._began_s > FORGOTTEN_S:
            has = f"run {reply.run} with {_text(now)}" if reply.run else "nothing of it"
            raise FrontierLost(
                f"The frontier of the crawl {self._crawl!r} is lost: {self._then()}, {silent_s:.1f} s ago;"
                f" now Redis has {has}. It was emptied, restored from an older copy, or is another. {_ADVICE}"
            )
        if reply.later:
            logger.warning("The crawl was cleared or has ended; the %d requests of %s are void", held, worker)
            return False
        is_behind = reply.lost or now.enqueued < then.enqueued or now.done < then.done
        if is_behind or silent_s < ttl_s:
            logger.warning(
                "Redis went back, or forgot %s: the crawl had %s, %.1f s ago, and now %s. What was done since"
                " is done again; its %d requests are others' now",
                *(worker, _text(then), silent_s, _text(now), held),
            )
        else:
            text = "%s was taken for dead after %.0f s without an exchange; its %d requests are others' now"
            logger.warning(text, worker, silent_s, held)
        return is_behind

    def _then(self) -> str:
        return f"run {self._run} had {_text(self._counts)} when this worker last heard of it"


_ADVICE = (
    "This worker ends and hands in nothing more; what was stored stays. See `scrapy frontier check`; to start"
    " again, `scrapy frontier clear` and push again what was pushed"
)


def _text(counts: Counts) -> str:
    c = counts
    return (
        f"{c.enqueued:,} requests: {c.done:,} done, {c.queued:,} queued, {c.leased:,} leased,"
        f" {c.dead:,} dead letters"
    )
