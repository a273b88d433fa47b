"""What tests share: waiting for something, and spiders in processes of their own."""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from deploy.local.processes import Process

ROOT = Path(__file__).resolve().parents[1]

T = TypeVar("T")

_POLL_S = 0.02
_run_numbers = itertools.count(1)


def wait_until(condition: Callable[[], T], timeout_s: float = 20.0) -> T:
    """The first truthy value of `condition()`; AssertionError if there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            name = getattr(condition, "__qualname__", condition)
            raise AssertionError(f"{name} did not come true within {timeout_s} s")
        time.sleep(_POLL_S)
    return value


@dataclass(frozen=True, slots=True)
class Ended:
    """A spider's run: its exit status (minus the signal that killed it) and its whole log."""

    status: int
    log: str

    @property
    def reason(self) -> str:
        """Why its spider was closed, empty if it did not get that far."""
        return close_reason(self.log)


def close_reason(log: str) -> str:
    """Why the spider of this `log` was closed: the one place that knows Scrapy's words for it."""
    found = re.search(r"Spider closed \(([^)]*)\)", log)
    return found[1] if found else ""


class RunningSpider(Process):
    """A `scrapy crawl` under way."""

    @property
    def log_text(self) -> str:
        """What it has logged so far."""
        return self.output()

    def interrupt(self) -> None:
        """One Ctrl-C (SIGINT), which Scrapy takes as: finish what is under way and end."""
        self.signal(signal.SIGINT)

    def end(self, timeout_s: float = 60.0) -> Ended:
        """Wait for its end; killed and an AssertionError with its last lines after `timeout_s`."""
        try:
            status = self.wait(timeout_s)
        except TimeoutError:
            self.kill()
            last = "\n".join(self.output().splitlines()[-20:])
            raise AssertionError(f"no end within {timeout_s} s; last lines:\n{last}") from None
        return Ended(status, self.output())


@contextmanager
def start_spider(
    spider: str,
    folder: Path,
    *,
    arguments: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> Iterator[RunningSpider]:
    """`scrapy crawl SPIDER` for the while, killed at the end; its log is kept in `folder`.

    `arguments` go as `-a`, `settings` as `-s`; `env` is added to the environment.
    """
    command = [sys.executable, "-m", "scrapy", "crawl", spider]
    for option, values in (("-a", arguments), ("-s", settings)):
        for name, value in (values or {}).items():
            command += [option, f"{name}={value}"]
    log = folder / f"{spider}-{next(_run_numbers)}.log"
    running = RunningSpider(command, log, cwd=cwd, env={**os.environ, **(env or {})})
    try:
        running.start()
        yield running
    finally:
        running.kill()


def run_spider(spider: str, folder: Path, *, timeout_s: float = 60.0, **options: Any) -> Ended:
    """`scrapy crawl SPIDER` from start to end; the options are those of `start_spider`.

    AssertionError if it has not ended after `timeout_s`.
    """
    with start_spider(spider, folder, **options) as running:
        return running.end(timeout_s)
