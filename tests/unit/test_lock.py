"""What `make` installs is locked, and the lock is what the ranges of the requirements admit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from deploy.local.newest import LOCK, differences, locked
from tests.helpers import ROOT

FILES = sorted(ROOT.glob("requirements*.txt"))


def requirements_of(path: Path) -> list[Requirement]:
    """The packages that a file asks for itself."""
    lines = (line.partition("  #")[0].strip() for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_lock_holds_what_the_requirements_admit(path: Path) -> None:
    # Given the lock
    pins = locked(LOCK.read_text())
    # When what a file asks for is looked up, then the lock has a release that it admits: else `make lock`
    for requirement in requirements_of(path):
        assert requirement.specifier.contains(pins[requirement.name]), f"make lock: {requirement}"


@pytest.mark.parametrize("path", [LOCK, ROOT / "deploy" / "local" / "mongod.txt"], ids=lambda path: path.name)
def test_every_locked_package_has_a_hash_and_no_address(path: Path) -> None:
    # Given a locked file
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    entries = re.split(r"\n(?=\S)", "\n".join(lines))
    # Then each package in it is pinned and hashed, and comes from wherever pip is told to look
    assert entries
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+ .*\\\n +--hash=sha256:[0-9a-f]{64}", entry), entry
        assert not re.search(r"://|index-url|find-links", entry)


def test_a_release_other_than_the_locked_one_is_named() -> None:
    # Given a lock with another release of something that is installed
    lock = "packaging==0.1 ; python_version > '3' \\\n    --hash=sha256:00\nnowhere-to-be-found==1 \\\n"
    # When this environment is compared with it, then that is said, and of what is not installed nothing
    (line,) = differences(lock)
    assert line.startswith("packaging: ")
    assert line.endswith("0.1 is locked")
