"""What a worker and its heartbeat see of each other: a page of shared memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import BinaryIO

_SIZE, _NAME_AT, _MOST_NAME = 1024, 256, 512  # bytes
_TICK, _EXCHANGED, _RENEWED, _GENERATION, _ASKED_TICK, _ASKED_AT, _FINAL = range(7)


def new_file() -> BinaryIO:
    """A file of a board's size, without a name. `fileno()` is what a child process needs of it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as its board
    os.ftruncate(file.fileno(), _SIZE)
    return file


class Board:
    """Moments are seconds of the machine's monotonic clock. Each is written by one side only, as a whole.

    `tick_s`: when the worker's loop last moved. `exchanged_s`: when its last exchange was sent. `renewed_s`:
    until when the heartbeat has renewed its lease, 0: it has not. `asked_tick_s`, `asked_at_s`, `is_final`:
    the question who blocks the loop, which has not moved since that tick; final: its lease is to be let go.
    """

    def __init__(self, fileno: int) -> None:
        self._memory = mmap.mmap(fileno, _SIZE)
        self._numbers = memoryview(self._memory)[:_NAME_AT].cast("d")

    tick_s = property(lambda self: self._numbers[_TICK])
    exchanged_s = property(lambda self: self._numbers[_EXCHANGED])
    renewed_s = property(lambda self: self._numbers[_RENEWED])
    generation = property(lambda self: self._numbers[_GENERATION])
    """Which of its names the worker goes by, counted from 1; 0: none yet."""
    asked_tick_s = property(lambda self: self._numbers[_ASKED_TICK])
    asked_at_s = property(lambda self: self._numbers[_ASKED_AT])
    is_final = property(lambda self: self._numbers[_FINAL] == 1)

    @property
    def name(self) -> str:
        """The worker's name in the crawl."""
        at = _NAME_AT
        return self._memory[at : at + _MOST_NAME].rstrip(b"\0").decode(errors="replace")

    def rename(self, name: str, now_s: float) -> None:
        """The worker has joined as `name`."""
        self._numbers[_GENERATION] += 0.5  # half way: nothing is renewed
        self._numbers[_RENEWED] = 0
        self._memory[_NAME_AT : _NAME_AT + _MOST_NAME] = name.encode()[:_MOST_NAME].ljust(_MOST_NAME, b"\0")
        self.tick(now_s, now_s)
        self._numbers[_GENERATION] += 0.5

    def tick(self, now_s: float, exchanged_s: float) -> None:
        """The loop has moved."""
        self._numbers[_EXCHANGED] = exchanged_s
        self._numbers[_TICK] = now_s

    def renew(self, until_s: float, generation: float) -> None:
        """The lease has been renewed, unless the worker goes by another name by now."""
        if self._numbers[_GENERATION] == generation:
            self._numbers[_RENEWED] = until_s

    def ask(self, tick_s: float, now_s: float, *, final: bool) -> None:
        """Who blocks the loop?"""
        self._numbers[_ASKED_TICK] = tick_s
        self._numbers[_ASKED_AT] = now_s
        self._numbers[_FINAL] = final
