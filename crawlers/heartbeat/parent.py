"""A worker's side of its heartbeat."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from .board import Board, new_file
from .child import Hello

if TYPE_CHECKING:
    from typing import Any

logger = logging.getLogger(__name__)

# Ignored by a process that doesn't handle it, so that one too many does no harm. Handlers run within a
# regular expression, where threads don't.
_SIGNAL = signal.SIGURG
_MOST_TICK_S = 1.0
_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer);"
    " from crawlers.heartbeat.child import main; main()"
)

Witness = Callable[[FrameType | None, float, bool], tuple[int, str]]
"""Called with what the blocked thread is at, for how many seconds it has been, and whether its lease is to be
let go; not in the loop's thread. Logs who blocks the loop, and returns its lease, 0 for nobody, and what to
say of it.
"""


class Heartbeat:
    """Renews the lease of a worker while its loop is blocked, `hello.limit_s` at most.

    `exchanged_s`: when the worker's last exchange was sent, by `time.monotonic()`. To be made, started and
    stopped in the thread of the loop.
    """

    def __init__(
        self, redis: dict[str, Any], crawl: str, terms: tuple[int, int, float], witness: Witness
    ) -> None:
        self._redis, self._crawl, self._terms, self._witness = redis, crawl, terms, witness
        self._file = new_file()
        self._board = Board(self._file.fileno())
        self._child: subprocess.Popen[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answering = threading.Lock()
        self._answered: tuple[float, bool] = (0.0, False)
        self._thread = threading.get_ident()
        self._handles_signals = False
        self._exchanged_s: Callable[[], float]
        self._started_s = 0.0

    def start(self, exchanged_s: Callable[[], float]) -> None:
        """Begins to watch the loop. Says so where no process can be had; the crawl goes on without."""
        self._exchanged_s = exchanged_s
        if threading.current_thread() is threading.main_thread():
            self._handles_signals = signal.getsignal(_SIGNAL) in (signal.SIG_DFL, None)
        if self._handles_signals:
            signal.signal(_SIGNAL, self._on_signal)
        self._spawn()
        self._tick()

    def rename(self, name: str) -> None:
        """The worker has joined the crawl as `name`."""
        self._board.rename(name, time.monotonic())

    def renewed_until_s(self) -> float:
        """Until when, by `time.monotonic()`, others take the worker for alive thanks to its heartbeat."""
        return float(self._board.renewed_s)

    def stop(self) -> None:
        """Renews nothing any more."""
        if self._timer:
            self._timer.cancel()
        self._timer = None
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                pipe.close()
        if self._handles_signals:
            signal.signal(_SIGNAL, signal.SIG_DFL)

    # Behind it -----------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        self._started_s = time.monotonic()
        number = self._file.fileno()
        hello = Hello(number, os.getpid(), self._crawl, *self._terms, self._redis, self._signal_number())
        try:
            said = pickle.dumps(sys.path) + pickle.dumps(tuple(hello))
            self._child = child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(number,),
                bufsize=0,
            )
            assert child.stdin is not None
            child.stdin.write(said)
        except (OSError, ValueError, TypeError, AttributeError, pickle.PicklingError) as error:
            logger.warning(
                "No heartbeat: %s. A callback that blocks for longer than FRONTIER_LEASE_TTL_S counts as the"
                " death of this worker",
                error,
            )
            return
        threading.Thread(target=self._listen, args=(child,), daemon=True, name="heartbeat").start()

    def _signal_number(self) -> int:
        return int(_SIGNAL) if self._handles_signals else 0

    def _tick(self) -> None:
        """In the loop: it moves."""
        now_s = time.monotonic()
        self._board.tick(now_s, self._exchanged_s())
        child = self._child
        if child and child.poll() is not None and now_s - self._started_s > self._terms[0] / 1000:
            logger.warning("The heartbeat ended with status %d; another takes its place", child.returncode)
            self._spawn()
        pause_s = min(_MOST_TICK_S, self._terms[0] / 10_000)
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._tick)

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        """In a thread: waits for questions until the process ends."""
        assert child.stdout is not None
        try:
            while child.stdout.read(1):
                frame = sys._current_frames().get(self._thread)
                self._answer(frame, child)
        except (OSError, ValueError):  # it ended, or was stopped, meanwhile
            return

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # Python's signature
        if self._child:
            self._answer(frame, self._child)

    def _answer(self, frame: FrameType | None, child: subprocess.Popen[bytes]) -> None:
        """Whoever comes first, thread or signal, answers; a loop that moves again needs no answer."""
        if not self._answering.acquire(blocking=False):
            return
        try:
            board = self._board
            question = (board.asked_tick_s, board.is_final)
            if question == self._answered or board.tick_s != board.asked_tick_s:
                return
            self._answered = question
            lease, reason = self._witness(frame, board.asked_at_s - board.asked_tick_s, board.is_final)
            if board.is_final and child.stdin is not None:
                said = {"tick_s": board.asked_tick_s, "lease": lease, "reason": reason}
                child.stdin.write(json.dumps(said).encode() + b"\n")
        except OSError:
            return  # the process has ended: nobody asks any more
        finally:
            self._answering.release()
