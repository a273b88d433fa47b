"""Real servers for all tests: one Redis, one MongoDB and one practice site a session."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pymongo
import pytest
import redis

from deploy.local import servers
from deploy.local.practice_site import PracticeSite
from deploy.local.practice_site import practice_site as run_practice_site
from tests.certificates import Certificate, make_certificate

T = TypeVar("T")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI is set every test must run: one that is skipped has failed."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where CI is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A new folder for what this session's servers keep, deleted at its end."""
    servers.DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tests-", dir=servers.DATA) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def redis_url(session_folder: Path) -> Iterator[str]:
    """The address of a real Redis: `REDIS_URL`, or one started for this session."""
    yield from _or_fail(servers.redis_url(session_folder / "redis"))


@pytest.fixture(scope="session")
def mongo_uri(session_folder: Path) -> Iterator[str]:
    """The address of a real MongoDB: `MONGO_URI`, or one started for this session."""
    yield from _or_fail(servers.mongo_uri(session_folder / "mongo"))


@pytest.fixture(scope="session")
def practice_site(session_folder: Path) -> Iterator[PracticeSite]:
    """The practice site with 100 quotes and a graph of 1,000 pages, shared by the whole session."""
    yield from _or_fail(run_practice_site(session_folder))


def _or_fail(server: AbstractContextManager[T]) -> Iterator[T]:
    """A server for the while; where there is none its one sentence fails the test: never a skip."""
    try:
        started = server.__enter__()
    except servers.ServerError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield started
    finally:
        server.__exit__(None, None, None)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """A certificate for servers on loopback that nobody but this test trusts."""
    return make_certificate(tmp_path)


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client to look into Redis with; bytes come back as bytes."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def crawl_name(request: pytest.FixtureRequest, redis_client: redis.Redis) -> Iterator[str]:
    """A crawl of this test alone; its keys are deleted afterwards."""
    name = f"{_slug(request.node.name)}-{secrets.token_hex(4)}"
    yield name
    for key in redis_client.scan_iter(f"*{name}*", count=1000):
        redis_client.unlink(key)


@pytest.fixture
def mongo_client(mongo_uri: str) -> Iterator[pymongo.MongoClient[dict[str, object]]]:
    """A client to look into MongoDB with."""
    with pymongo.MongoClient[dict[str, object]](mongo_uri) as client:
        yield client


@pytest.fixture
def database(
    request: pytest.FixtureRequest, mongo_client: pymongo.MongoClient[dict[str, object]]
) -> Iterator[str]:
    """The name of a MongoDB database of this test alone, dropped afterwards."""
    name = f"test-{_slug(request.node.name)}-{secrets.token_hex(4)}"
    yield name
    mongo_client.drop_database(name)


def _slug(name: str) -> str:
    # MongoDB takes database names of up to 63 bytes.
    return re.sub(r"\W+", "-", name.removeprefix("test_"))[:40].strip("-")
