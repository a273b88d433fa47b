"""How often workers ask Redis: rarely enough for a fleet of any size, often enough to find work soon."""

from __future__ import annotations

import random

from crawlers.frontier import Reply

LINGER_S = 0.02
"""A worker that has enough to do hands in this often at most."""

# A fleet hands in 2,000 times a second: an exchange with nothing in it costs Redis 0.1 ms.
_FLEET_LINGER_S = 0.0005
# How often idle workers ask, all together: a pushed URL is found within 50 ms, by whomever, and an idle
# fleet of any size costs Redis little. One worker asks four times a second at least.
_FLEET_POLL_S, _WORKER_POLL_S = 0.05, 0.25
# All workers wait for the same hosts to be due: together they ask every 2 ms at most, however many they are.
_FLEET_ASK_S = 0.002


class Pace:
    """What one worker keeps to, by the number of all that it last heard of.

    `linger_s`: how long what is done and found may wait while there is enough to do; `poll_s`: how often to
    ask where there is nothing.
    """

    def __init__(self) -> None:
        self.linger_s, self.poll_s = LINGER_S, _FLEET_POLL_S

    def hear(self, reply: Reply) -> None:
        """Takes over how many workers there are."""
        self.linger_s = max(LINGER_S, _FLEET_LINGER_S * reply.workers)
        self.poll_s = min(max(_FLEET_POLL_S * reply.workers, _FLEET_POLL_S), _WORKER_POLL_S)

    def pause_s(self, reply: Reply, chance: random.Random | None = None) -> float:
        """After a reply with less than was wanted: until a host is due. One that is already, and was not
        leased, is left to workers that have less. `chance` is for what has to be repeatable.
        """
        if not reply.due_ms:
            return self.poll_s
        apart_s = _FLEET_ASK_S * reply.workers * (chance or random).uniform(0.5, 1.5)
        return max(min(reply.due_ms / 1000, self.poll_s), min(apart_s, _WORKER_POLL_S))
