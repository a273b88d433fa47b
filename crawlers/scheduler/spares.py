"""Leases beyond the limit of their host.

A worker that has all slots of a host may hold more leases than that. Each spare starts in the place of
another of its leases there that is over, so that it need not come back to the frontier for each page.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

from .completion import Held


class Spares:
    """Leases that wait for a slot of their host."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Held]] = {}
        self._over: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values())) if self._waiting else 0

    def follow(self, hosts: Iterable[str]) -> list[Held]:
        """One lease of each of `hosts` is over. Returns what starts in their places."""
        starting = []
        for host in hosts:
            self._over[host] += 1
            if waiting := self._waiting.get(host):
                starting.append(waiting.popleft())
        return starting

    def told(self) -> None:
        """The frontier is about to hear of all that is over until now."""
        self._over.clear()

    def sort(self, leased: list[Held], spares: Mapping[str, int]) -> list[Held]:
        """Of what was leased, in its order, and what waits: what may start. `spares`: how many have no
        slot, by host, as the frontier sees it, which hasn't heard of all that is over.
        """
        starting = []
        for held in leased:
            host = held.lease.host
            if host in spares:
                self._waiting.setdefault(host, deque()).append(held)
            else:
                starting.append(held)
        for host, waiting in list(self._waiting.items()):
            without_slot = max(0, spares.get(host, 0) - self._over[host])
            while len(waiting) > without_slot:
                starting.append(waiting.popleft())
            if not waiting:
                del self._waiting[host]
        return starting

    def drop(self, host: str) -> list[int]:
        """The leases of `host` that wait, which are over without having started."""
        dropped = [held.lease.id for held in self._waiting.pop(host, ())]
        self._over[host] += len(dropped)
        return dropped

    def slots(self, under_way: Iterable[str], may_start: Iterable[Held] = ()) -> list[tuple[str, int]]:
        """Hosts where more could start, and how many slots there this worker keeps: by the host of each lease
        that is `under_way`, and by those that `may_start`.
        """
        kept = Counter(under_way)
        kept.update(held.lease.host for held in may_start)
        return [(host, kept[host]) for host in kept | self._over]

    def clear(self) -> None:
        """Forgets all that waits."""
        self._waiting.clear()
        self._over.clear()
