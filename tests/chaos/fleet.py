"""Workers in processes of their own, and a supervisor that starts again those that die."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from deploy.local.processes import Process
from tests.helpers import ROOT

FINISHED = "finished"

_RESTART_AFTER_S = 0.3


class FleetWorker(Process):
    """One `scrapy` command."""

    def __init__(self, arguments: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        super().__init__(
            [sys.executable, "-m", "scrapy", *arguments], log, cwd=ROOT, env={**os.environ, **environ}
        )
        self.frozen = False
        self.spent = False
        """It was told to end."""
        self.ended_s = 0.0
        """When that was first seen, 0 until then."""

    def pause(self) -> None:
        """Freezes it."""
        self.frozen = True
        super().pause()

    def resume(self) -> None:
        """Lets it go on."""
        self.frozen = False
        super().resume()

    @property
    def reason(self) -> str:
        """Why its spider was closed, empty if it did not get that far."""
        found = re.search(r"Spider closed \((\w+)\)", self.output())
        return found[1] if found else ""

    @property
    def is_up(self) -> bool:
        """Running, not frozen and not about to end."""
        return self.running and not self.frozen and not self.spent

    def tracebacks(self) -> list[str]:
        """The entries of its log below which a traceback stands, each one's first line."""
        entry, found = "before the first entry", []
        for line in self.output().splitlines():
            if re.match(r"\d{4}-\d\d-\d\d ", line):
                entry = line[:300]
            elif line.startswith("Traceback (most recent call last)"):
                found.append(entry)
        return found


class Fleet:
    """Some workers; `supervised` ones that end before the crawl does are replaced."""

    def __init__(self, make: Callable[[int], FleetWorker], size: int, supervised: bool) -> None:
        self._make = make
        self._size = size
        self._supervised = supervised
        self._now: list[FleetWorker] = []
        self.all: list[FleetWorker] = []
        """Those that were replaced too."""

    def __iter__(self) -> Iterator[FleetWorker]:
        return iter(self._now)

    def start(self) -> None:
        """Starts all of them."""
        self._now = [self._start() for _ in range(self._size)]

    def _start(self) -> FleetWorker:
        worker = self._make(len(self.all) + 1)
        self.all.append(worker)
        worker.start()
        return worker

    def kill(self) -> None:
        """Ends all of them."""
        for worker in self.all:
            worker.kill()

    def has_ended(self, finished: bool) -> bool:
        """Whether none runs or is to be replaced; `finished`: the crawl is."""
        if any(worker.running for worker in self._now):
            return False
        return finished or not self._supervised or all(worker.reason == FINISHED for worker in self._now)

    def supervise(self, finished: bool) -> None:
        """Replaces who has ended for another reason than that the crawl is `finished`."""
        if not self._supervised:
            return
        for place, worker in enumerate(self._now):
            if worker.running:
                # One that joins a crawl after its end starts it anew: too late for this one.
                if finished and "Joined the crawl" not in worker.output():
                    worker.kill()
            elif not finished and worker.reason != FINISHED and _has_been_away(worker):
                self._now[place] = self._start()


def _has_been_away(worker: FleetWorker) -> bool:
    worker.ended_s = worker.ended_s or time.monotonic()
    return time.monotonic() - worker.ended_s > _RESTART_AFTER_S
