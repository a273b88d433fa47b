"""Servers of the chaos tests' own: what is done to them would harm the tests that share theirs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.binaries import ServerError

from .servers import Servers, chaos_servers


@pytest.fixture(scope="session")
def servers(session_folder: Path) -> Iterator[Servers]:
    """Redis and MongoDB that may be stopped and killed, kept from test to test."""
    try:
        with chaos_servers(session_folder / "chaos") as started:
            started.redis("everysec"), started.mongo()  # where they can't be had, that is said here
            yield started
    except ServerError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def seed() -> str:
    """What decides on all that is left to chance: CHAOS_SEED, or a new one for each session."""
    return os.environ.get("CHAOS_SEED") or str(secrets.randbelow(1_000_000))
