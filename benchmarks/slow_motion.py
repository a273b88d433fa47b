"""A worker under valgrind waits as much longer as it is slower, and so does as much at a time as ever."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from scrapy.crawler import Crawler

from benchmarks.contenders import Contender
from crawlers.scheduler import pace, worker

TIMES_SLOWER = 40
"""Than without valgrind, some 30 to 50 times."""

_WAITS = ((pace, "LINGER_S"), (worker, "LINGER_S"), (pace, "_FLEET_POLL_S"), (pace, "_WORKER_POLL_S"))


class SlowMotion:
    """A Scrapy extension that stretches what the frontier's client waits for.

    Otherwise each page would have an exchange of its own, for under valgrind it takes longer than these.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:  # noqa: ARG003  # Scrapy's signature
        """As Scrapy builds its components: before there is a worker."""
        for module, name in _WAITS:
            setattr(module, name, getattr(module, name) * TIMES_SLOWER)
        return cls()


def in_slow_motion(contender: Contender) -> Contender:
    """The same in slow motion."""
    extensions = f'{{"{SlowMotion.__module__}.{SlowMotion.__name__}": 0}}'
    return replace(contender, settings={**contender.settings, "EXTENSIONS": extensions})
