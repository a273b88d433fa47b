"""Says in what this environment differs from `requirements.lock`: `python -m deploy.local.newest`."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"


def locked(lock: str) -> dict[str, str]:
    """The version of each package in the text of a lock."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE))


def differences(lock: str) -> list[str]:
    """One line for each locked package that is installed here in another version."""
    lines = []
    for name, pinned in locked(lock).items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # for other systems or Pythons
        if installed != pinned:
            lines.append(f"{name}: {installed} is installed, {pinned} is locked")
    return lines


if __name__ == "__main__":
    print("\n".join(differences(LOCK.read_text())) or "All that is installed is what is locked.")
