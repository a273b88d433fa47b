"""What a worker has for the frontier: links and refusals that wait for the next exchange."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice

from crawlers.frontier import Batch, Found, Refused

from .hostkeys import HostKeys
from .inside import host_to_open
from .load import BYTES_FOR_ONE, MOST_FOUND_COST, QUEUE_COST

_MOST_KNOWN = 200_000  # fingerprints remembered as seen, at some 100 bytes each
FORGOTTEN_S = 3
"""With `appendfsync everysec` Redis may come back without what it acknowledged in its last second, two where
its disk is slow."""
# Start requests of the run that are kept, at some 300 bytes each, for a Redis that comes back older than
# that, as a replica that lagged behind does. Beyond, those of the last seconds are.
_MOST_STARTED = 100_000


class Outbox:
    """Links in the order they came, and which fingerprints are known to have been seen.

    `wake` is called when something should go out soon; `clock` gives seconds.
    """

    def __init__(self, wake: Callable[[], None], clock: Callable[[], float], keys: HostKeys) -> None:
        self._wake = wake
        self._clock = clock
        self._keys = keys
        self._links: deque[Found] = deque()
        self._refused: list[Refused] = []
        self._opened: dict[str, None] = {}
        self._opening: list[str] = []  # those of them that have yet to go out
        self._known: dict[int, None] = {}
        self._put = self._entered = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._started: deque[tuple[float, Found]] = deque()

    def __len__(self) -> int:
        """How many links wait."""
        return len(self._links)

    @property
    def pressing(self) -> bool:
        """Something waits to go out, or somebody for it to be gone."""
        return bool(self._links or self._refused or self._waiting)

    def knows(self, fingerprint: int) -> bool:
        """A link was seen, or waits here."""
        return fingerprint in self._known

    async def find_hosts(self) -> None:
        """Finds out where the links belong that go out next."""
        await self._keys.find({found.host for found in islice(self._links, MOST_FOUND_COST)})

    def put(self, found: Found) -> None:
        """Takes a link."""
        if found.fingerprint is not None:
            self._known[found.fingerprint] = None
        self._links.append(found)
        self._put += 1

    def open_inside(self, host: str) -> None:
        """A start has this host: its requests may go there, though it is inside."""
        opens = host_to_open(host)
        if opens is not None and opens not in self._opened:
            self._opened[opens] = None
            self._opening.append(opens)

    def refuse(self, refused: Refused) -> None:
        """Takes what can't be crawled."""
        self._refused.append(refused)
        self._wake()

    async def flushed(self) -> None:
        """Returns when all that was put or refused until now is in the frontier."""
        entered = asyncio.get_running_loop().create_future()
        self._waiting.append((self._put, entered))
        self._wake()
        await entered

    def fill(self, batch: Batch) -> bool:
        """Moves what fits into `batch`. True if nothing is left. A link whose host came up since
        :meth:`find_hosts` waits, and with it those behind it.
        """
        cost, queues = 0, set()
        while self._links and cost < MOST_FOUND_COST and self._keys.knows(self._links[0].host):
            found = self._links.popleft()
            host = self._keys.final(found.host)
            batch.found.append(found if host == found.host else found._replace(host=host))
            cost += 1 + len(found.payload) // BYTES_FOR_ONE
            if (queue := (host, found.priority)) not in queues:
                queues.add(queue)
                cost += QUEUE_COST
        batch.refused, self._refused = self._refused, []
        batch.opened, self._opening = self._opening, []
        return not self._links

    def entered(self, batch: Batch) -> None:
        """What `batch` held is in the frontier."""
        self._entered += len(batch.found)
        self._remember_start(batch)
        self._settle_waiting()
        self._trim_known()

    def put_back(self, batch: Batch, *, is_behind: bool = False) -> None:
        """`batch` changed nothing, and Redis may have forgotten its last seconds.

        Links that a page led to will be found again with their page; what start yielded would not. What isn't
        deduplicated goes in again only where it is recent, or Redis `is_behind` for certain.
        """
        since = self._clock() - FORGOTTEN_S
        again = [f for at, f in self._started if is_behind or at >= since or f.fingerprint is not None]
        self._links.extendleft(reversed(batch.found))
        self._links.extendleft(reversed(again))
        self._entered -= len(again)
        self._started.clear()
        self._refused = batch.refused + self._refused
        self._opening = list(self._opened)
        self._known = {f.fingerprint: None for f in self._links if f.fingerprint is not None}

    def clear(self) -> None:
        """Forgets all that waits and all that is known."""
        self._links.clear()
        self._refused.clear()
        self._opened.clear()
        self._opening.clear()
        self._known.clear()
        self._started.clear()
        self._entered = self._put

    def _remember_start(self, batch: Batch) -> None:
        now = self._clock()
        self._started.extend((now, found) for found in batch.found if found.start)
        while len(self._started) > _MOST_STARTED and self._started[0][0] < now - FORGOTTEN_S:
            self._started.popleft()

    def _settle_waiting(self) -> None:
        """What was refused goes out with the first exchange, links in the order they were put."""
        waiting, self._waiting = self._waiting, []
        for put, entered in waiting:
            if put > self._entered or self._refused:
                self._waiting.append((put, entered))
            elif not entered.done():
                entered.set_result(None)

    def _trim_known(self) -> None:
        if len(self._known) > _MOST_KNOWN:
            for fingerprint in list(self._known)[: len(self._known) - _MOST_KNOWN // 2]:
                del self._known[fingerprint]
