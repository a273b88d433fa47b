"""The process beside a worker. It does nothing while the worker's own exchanges renew its lease.

A loop that doesn't move is asked about, and its lease renewed, until it has been still for too long. Then
the worker says which page it is that blocks it, by a thread or a signal; where it can't, its lease ends by
itself. A process that is stopped is not busy. Nothing is imported before it is needed.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from .board import Board

_IDLE = 0.4  # of the time to live: an exchange that comes in time, every third of it, is none of our business
_LOOKS = 8  # in a time to live
_SHORT_S = 10  # a lease that leaves no time to load what talks to Redis, up to a second on a busy machine
_MOST_ANSWER_S = 5  # for the worker to say which page it is; then it is taken for unable to


class Hello(NamedTuple):
    """What a worker tells its heartbeat at the start. `limit_s`: how long the loop may stand still; 0: for
    ever. `redis`: the settings that say how to reach Redis.
    """

    board: int
    parent: int
    crawl: str
    ttl_ms: int
    max_attempts: int
    limit_s: float
    redis: dict[str, Any]
    signal: int


def main() -> None:
    """Runs until the worker has ended. Ctrl-C and SIGTERM are for the worker, which may take its time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Child(Hello(*pickle.load(sys.stdin.buffer))).run()


class Child:
    """Watches the worker that said `hello`."""

    def __init__(self, hello: Hello) -> None:
        self._hello = hello
        self._board = Board(hello.board)
        self._ttl_s = hello.ttl_ms / 1000
        self._limit_s = max(hello.limit_s, self._ttl_s) if hello.limit_s else float("inf")
        self._asked: tuple[float, bool] = (0.0, False)
        self._gone: float = 0.0  # the tick with which the lease was let go
        self._heard = b""
        self._said: dict[str, Any] = {"tick_s": 0.0}

    def run(self) -> None:
        """Looks at the worker every now and then, until it has ended."""
        if self._ttl_s < _SHORT_S:
            import crawlers.frontier  # noqa: F401

        while self._wait(self._ttl_s / _LOOKS):
            self._look()

    def _wait(self, pause_s: float) -> bool:
        """Whether the worker still lives after a pause, or as soon as it has said something."""
        readable, _, _ = select.select([0], [], [], pause_s)
        if readable:
            heard = os.read(0, 65536)
            if not heard:
                return False
            self._heard += heard
        return os.getppid() == self._hello.parent

    def _look(self) -> None:
        board, now_s = self._board, time.monotonic()
        tick_s, generation = board.tick_s, board.generation
        answer = self._answer(tick_s)
        if not generation.is_integer() or generation == 0 or tick_s == self._gone:
            return
        if now_s - board.exchanged_s < _IDLE * self._ttl_s or is_stopped(self._hello.parent):
            return
        still_s, silent_s = now_s - tick_s, now_s - board.exchanged_s
        if still_s > self._limit_s and answer:
            self._let_go(board.name, answer, tick_s, generation)
            return
        if still_s > _IDLE * self._ttl_s:
            self._ask(tick_s, now_s, final=still_s > self._limit_s)
        if silent_s < self._limit_s + _MOST_ANSWER_S + self._ttl_s * 2 / _LOOKS:
            self._renew(board.name, now_s, generation)

    def _ask(self, tick_s: float, now_s: float, *, final: bool) -> None:
        """Once for each time that the loop stands still, and once more at the limit."""
        if self._asked == (tick_s, final):
            return
        self._asked = (tick_s, final)
        self._board.ask(tick_s, now_s, final=final)
        os.write(1, b"?")
        if self._hello.signal:
            os.kill(self._hello.parent, self._hello.signal)

    def _answer(self, tick_s: float) -> dict[str, Any] | None:
        """What the worker said last, if it is about the standstill since this tick."""
        *lines, self._heard = self._heard.split(b"\n")
        for line in lines:
            self._said = json.loads(line)
        return self._said if self._said["tick_s"] == tick_s else None

    def _renew(self, name: str, now_s: float, generation: float) -> None:
        if self._call("renew", name, self._hello.ttl_ms):
            self._board.renew(now_s + self._ttl_s, generation)

    def _let_go(self, name: str, answer: dict[str, Any], tick_s: float, generation: float) -> None:
        """From here on the worker may send nothing, whether or not Redis hears of it."""
        self._board.renew(0, generation)
        terms = self._hello.max_attempts
        if self._call("let_go", name, answer["lease"], answer["reason"], terms) is not None:
            self._gone = tick_s

    def _call(self, method: str, *args: Any) -> Any:
        """The outcome of a method of :class:`Frontier`; None where Redis doesn't answer in time."""
        import asyncio  # it takes a tenth of a second, and most workers never need it

        from redis.exceptions import RedisError

        from crawlers.frontier import Frontier, connect

        async def call() -> Any:
            client = connect(self._hello.redis)
            try:
                frontier = Frontier(client, self._hello.crawl)
                return await asyncio.wait_for(getattr(frontier, method)(*args), self._ttl_s / 2)
            finally:
                await client.aclose()

        try:
            return asyncio.run(call())
        except (RedisError, OSError, TimeoutError):
            return None  # the worker itself will say it; here it is tried again


def is_stopped(process: int) -> bool:
    """Whether a process is held by SIGSTOP, a terminal's Ctrl-Z or a debugger. False where nobody can say."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        with os.popen(f"ps -o state= -p {int(process)}") as ps:
            return ps.read(1) == "T"
    return status.rpartition(")")[2].split()[0] in ("T", "t")
