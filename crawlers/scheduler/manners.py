"""What this worker sees of hosts, and whether it may go there now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crawlers.frontier import Batch, News, ms_of, within

from .load import MOST_ENDED

if TYPE_CHECKING:
    from .completion import Held

_MOST_AGO_US = 2**50
_SAFELY = 0.75  # of start_ms: the rest is for what passes between a reply's way back and a request's way out


class Manners:
    """Visits and news of hosts that wait for the next exchange. `start_s`: how long a turn may be used.

    `wake` is called when something should go out soon, `on_trouble` with a host that is to be left alone;
    `clock` gives seconds.
    """

    def __init__(
        self,
        start_s: float,
        wake: Callable[[], None],
        clock: Callable[[], float],
        on_trouble: Callable[[str], None],
    ) -> None:
        self.alive_until_s = float("inf")
        """Until then others take this worker for alive, whatever becomes of it."""
        self.renewed_until_s: Callable[[], float] = lambda: 0.0
        """The same, as its heartbeat has seen to it."""
        self._start_s = start_s * _SAFELY
        self._wake = wake
        self._clock = clock
        self._on_trouble = on_trouble
        self._visits: list[tuple[int, float]] = []
        self._news: list[News] = []
        self._troubled: set[str] = set()

    @property
    def pressing(self) -> bool:
        """Something waits to go out."""
        return bool(self._visits or self._news)

    def may_start(self, held: Held) -> bool:
        """Whether a request may go to its site now. A worker that was frozen has lost its leases, and a turn
        that was long ago is another's.
        """
        now_s = self._clock()
        is_alive = now_s < self.alive_until_s or now_s < self.renewed_until_s()
        return is_alive and not (held.lease.timed and now_s - held.since_s > self._start_s)

    def visited(self, held: Held) -> None:
        """A request goes to its site at this moment."""
        if held.lease.timed or held.lease.scout:
            self._visits.append((held.lease.id, self._clock()))
            self._wake()

    def answered(self, host: str, latency_s: float, status: int, *, watched: bool) -> None:
        """`host` has answered. That is news where it was in trouble, or `watched`."""
        if watched or host in self._troubled:
            if status < 500:
                self._troubled.discard(host)
            self._news.append(News.answer(host, ms_of(latency_s), status))

    def failed(self, host: str, reason: str, *, wait_s: float | None = None, patient: bool = False) -> None:
        """`host` has failed, or asks to be left alone for `wait_s`; `patient`: it may be the page's fault."""
        self._troubled.add(host)
        if not patient:
            self._on_trouble(host)
        wait_ms = None if wait_s is None else ms_of(wait_s)
        self.tell(News.trouble(host, reason, wait_ms=wait_ms, patient=patient))

    def tell(self, news: News) -> None:
        """Something that all workers should know."""
        self._news.append(news)
        self._wake()

    def fill(self, batch: Batch) -> None:
        """Moves what waits into `batch`, as far as it fits."""
        now_s = self._clock()
        visits, self._visits = self._visits[:MOST_ENDED], self._visits[MOST_ENDED:]
        batch.visits = [(lease, within((now_s - at_s) * 1e6, 0, _MOST_AGO_US)) for lease, at_s in visits]
        batch.news, self._news = self._news[:MOST_ENDED], self._news[MOST_ENDED:]

    def put_back(self, batch: Batch) -> None:
        """`batch` changed nothing: its leases are others' now, what was seen of hosts is still true."""
        self._news = batch.news + self._news
        self._visits = []
