"""What benchmarks share: workers as child processes, their CPU, waiting, reports.

A worker is a real `scrapy` command in a process of its own, so that its CPU is exactly what the
kernel charged to it and a kill is a real kill. All of them end with the benchmark.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.local.binaries import ServerError
from deploy.local.processes import Process
from deploy.local.servers import DATA, stop_on_signals

ROOT = Path(__file__).resolve().parent.parent
RESULTS = DATA / "benchmarks"


@dataclass(frozen=True)
class Exit:
    """How a worker ended: exit code (negative: killed by that signal), CPU and wall seconds."""

    code: int
    cpu_s: float
    wall_s: float


class Worker(Process):
    """`python -m scrapy ARGUMENTS`, output in `log`; killed at the latest when its `with` ends."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        super().__init__(
            [sys.executable, "-m", "scrapy", *arguments],
            log,
            cwd=ROOT,
            env=environ,
        )
        self._exit: Exit | None = None

    def __enter__(self) -> Worker:
        self._started_s = time.perf_counter()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def poll(self) -> Exit | None:
        """How the worker ended, None while it runs."""
        if self._exit is None:
            # What a child used goes to its parent's account at the moment of the wait for it.
            before_s = _cpu_of_children_s()
            if (code := self.exit_status) is not None:
                cpu_s = _cpu_of_children_s() - before_s
                self._exit = Exit(code, cpu_s, time.perf_counter() - self._started_s)
        return self._exit

    def finish(self, timeout_s: float) -> Exit:
        """Wait for the worker's own end; stop the benchmark if it fails or takes `timeout_s`."""
        wait_until(self.poll, timeout_s, self.complaint)
        assert self._exit is not None
        if self._exit.code:
            raise BenchmarkError(f"Exit code {self._exit.code}. {self.complaint()}")
        return self._exit

    def complaint(self) -> str:
        """Which worker is at fault, with the last lines of its log."""
        lines = self.output().splitlines()[-15:]
        return "\n".join([f"The worker did not do its part; the end of {self.log}:", *lines])


def cpu_s(pid: int) -> float:
    """What the kernel has charged to a running process so far, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    """The most memory that a child process has had so far (VmHWM); 0 once it has ended."""
    _, found, rest = Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")
    return int(rest.split()[0]) / 1024 if found else 0


def _cpu_of_children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class BenchmarkError(Exception):
    """A benchmark that can't go on; the text says why."""


def wait_until(
    condition: Callable[[], object],
    timeout_s: float,
    complaint: Callable[[], str],
    every_s: float = 0.02,
) -> None:
    """Wait until `condition` holds; after `timeout_s` stop the benchmark with `complaint`."""
    started_s = time.perf_counter()
    while not condition():
        if time.perf_counter() - started_s > timeout_s:
            raise BenchmarkError(f"Waited {timeout_s:g} s in vain. {complaint()}")
        time.sleep(every_s)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median and range in one cell: `12.3 (11.8-13.0)`."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def run(main: Callable[[], None]) -> None:
    """Run a benchmark: Ctrl-C and SIGTERM end it and all it started, faults are one sentence."""
    stop_on_signals()
    try:
        main()
    except (ServerError, BenchmarkError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped before the end; nothing was written.")


def report(name: str, tables: Sequence[Table], figures: Mapping[str, Any]) -> None:
    """Print the tables and write the figures, with what they were measured on, as JSON."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    for table in tables:
        console.print(table)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"measured_on": machine(), **figures}, indent=2) + "\n")
    console.print(f"Figures: {path.relative_to(ROOT)}")


def machine() -> dict[str, Any]:
    """The machine and the versions that figures were measured on."""
    packages = ("Scrapy", "scrapy-redis", "Twisted", "redis", "pymongo")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }
