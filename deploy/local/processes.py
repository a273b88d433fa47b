"""Child processes that never outlive the process that started them."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Below the ports that Linux (from 32768) and macOS (from 49152) give to outgoing connections: while
# a server is down, a client that keeps dialling a port of that range can be given the very port it
# dials, connect to itself, and keep the server from coming back.
_SERVER_PORTS = range(20_000, 32_768)

# Becomes the command after asking Linux to kill it when its parent dies (PR_SET_PDEATHSIG is 1).
# A program of its own because preexec_fn may deadlock, and warns, in a parent that has threads.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
parent, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(parent):
    sys.exit("the parent process is gone")
try:
    os.execvp(command[0], command)
except OSError as error:
    sys.exit(f"{command[0]}: {error.strerror}")
"""


def free_port() -> int:
    """A loopback TCP port that nobody listens on now; another process may take it before you do."""
    for port in random.sample(_SERVER_PORTS, k=200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError("200 random ports between 20000 and 32767 are all taken")


class Process:
    """One command, run as often as `start` is called, its output appended to a file.

    The child leads a session of its own, so Ctrl-C in a terminal reaches it only through us. On
    Linux it is killed when the *thread* that started it ends, however that comes about; elsewhere
    it ends with `stop` or `kill` only.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare to run `command` in `cwd` with the whole environment `env` (None: as ours)."""
        self.command = list(command)
        self.log = log
        self._cwd = cwd
        self._env = env
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process id of the latest start; RuntimeError before the first."""
        if self._child is None:
            raise RuntimeError(f"{self.command[0]} was never started")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the child exists; one that is paused runs too."""
        return self._child is not None and self._child.poll() is None

    @property
    def exit_status(self) -> int | None:
        """What the latest run ended with, minus the signal if one killed it; None until then."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Run the command; returns at once. RuntimeError if it is running already."""
        if self.running:
            raise RuntimeError(f"{self.command[0]} is already running as process {self.pid}")
        command = self.command
        if sys.platform == "linux":
            shim = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
            command = [*shim, *command]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self._env,
                start_new_session=True,
            )

    def output(self) -> str:
        """What the latest run has written so far."""
        with self.log.open("rb") as written:
            written.seek(self._log_start)
            return written.read().decode(errors="replace")

    def wait(self, timeout_s: float) -> int:
        """The exit status; TimeoutError if it is still running after `timeout_s`."""
        if self._child is None:
            raise RuntimeError(f"{self.command[0]} was never started")
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.command[0]} still runs after {timeout_s} s") from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; without effect once the child has ended."""
        if self._child is not None:
            self._child.send_signal(number)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ask it to end (SIGTERM, also when paused), kill it after `timeout_s`, return when gone.

        Without effect if it is not running.
        """
        if not self.running:
            return
        self.signal(signal.SIGTERM)
        self.resume()
        try:
            self.wait(timeout_s)
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """`kill -9` it and what it started; returns when it is gone."""
        if self._child is None:
            return
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): its connections stay open and nothing is answered."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self.signal(signal.SIGCONT)
