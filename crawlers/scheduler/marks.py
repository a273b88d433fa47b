"""What this package writes into the meta of requests. Nobody else's word counts for it.

A message, a page whose JSON a callback copies, `meta=response.meta` and foreign entries of a queue may all
hold these names.
"""

from __future__ import annotations

from typing import Any

START = "_frontier_start"
"""Of what a spider's `start` yields, until the scheduler has it: copies of it, as made by a retry, are no
start requests. Its value: the how-manieth request like this one the start has yielded."""
GIVEN_BACK = "_frontier_given_back"
"""Of a request on its way back to the scheduler, which has nothing to do with it: its lease ends."""
ROBOTS = "_frontier_robots"
"""It is for a robots.txt."""
WAITS = "host_waits"
"""[URL, times]: how often it went back to the queue because the host of that URL asked to be left alone."""

_PASSING = frozenset({START, GIVEN_BACK, ROBOTS})


def drop_marks(meta: dict[str, Any]) -> None:
    """Takes out what only holds for a request under way, where that comes from elsewhere."""
    if not _PASSING.isdisjoint(meta):
        for name in _PASSING:
            meta.pop(name, None)


def waits_of(meta: dict[str, Any], url: str) -> int:
    """How often the page of `url` has waited; what was copied from another's, or is none of ours, is 0."""
    match meta.get(WAITS):
        case [str(waited), int(times)] if waited == url:
            return max(times, 0)
    return 0
