"""What the local Redis and MongoDB servers have in common: being started, awaited and ended."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pymongo.errors
import redis

from .binaries import ServerError, describe_exit
from .processes import Process, free_port

START_TIMEOUT_S = 60
"""A start takes 0.1 s (Redis) or about 1 s (MongoDB); this much only on a machine in distress."""

_POLL_S = 0.02
_PORT_ATTEMPTS = 5


class LoopbackServer(ABC):
    """A server on a loopback port, its data in `folder` and its log in `<folder>.log`.

    `port` 0 means a free port, chosen at the first start and kept for later ones.
    """

    name: str

    def __init__(self, program: str, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.port = port
        self._program = program
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """The server's process id; RuntimeError before the first start."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether the server's process exists."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start it on the data it has and return when it takes writes; ServerError if it can't."""
        if self.running:
            raise RuntimeError(f"{self.name} is already running as process {self.pid}")
        if self.port != 0:
            return self._launch()
        for _ in range(_PORT_ATTEMPTS):
            self.port = free_port()
            with suppress(_PortTakenError):
                return self._launch()
        raise ServerError(f"{self.name} found {_PORT_ATTEMPTS} free ports taken in turn.")

    def stop(self) -> None:
        """End it in good order; its data stay."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """`kill -9`; what it has not written yet is lost, as in a crash."""
        self._started().kill()

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing is answered."""
        self._started().pause()

    def resume(self) -> None:
        """Let a paused server go on."""
        self._started().resume()

    @abstractmethod
    def _arguments(self) -> list[str]:
        """The command line after the program."""

    @abstractmethod
    def _takes_writes(self) -> bool:
        """Whether our process, and not another one on its port, is ready. May raise OSError."""

    def _started(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process

    def _launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder.with_name(f"{self.folder.name}.log")
        self._process = Process([self._program, *self._arguments()], log)
        self._process.start()
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self._process.kill()
            raise

    def _wait_until_ready(self, process: Process) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while process.running and time.monotonic() < deadline:
            with suppress(OSError, redis.RedisError, pymongo.errors.PyMongoError):
                if self._takes_writes():
                    return
            time.sleep(_POLL_S)
        self._raise_why_not_ready(process)

    def _raise_why_not_ready(self, process: Process) -> NoReturn:
        if process.exit_status is None:
            raise ServerError(f"{self.name} was not ready after {START_TIMEOUT_S} s: see {process.log}.")
        output = process.output()
        if "Address already in use" in output:
            raise _PortTakenError(
                f"Port {self.port} for {self.name} is taken: stop what listens there or choose another port."
            )
        last_line = (output.strip().splitlines() or ["it wrote nothing"])[-1]
        raise ServerError(
            f"{self.name} ended at its start with {describe_exit(process.exit_status)} "
            f"({last_line[:300]}): see {process.log}; if its data are of another version, "
            f"delete {self.folder}."
        )


class _PortTakenError(ServerError):
    """Somebody else listens on the port."""
