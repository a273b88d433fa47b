"""Contract tests are coroutines: each runs in an event loop of its own, against a real Redis."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.local.servers import RedisServer, redis_server

from .crawl import Crawl, open_crawl


@pytest.fixture(autouse=True)
def runner() -> Iterator[asyncio.Runner]:
    """The event loop of one test."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test that is a coroutine in its event loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    pyfuncitem.funcargs["runner"].run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture
def crawl(
    runner: asyncio.Runner, redis_url: str, redis_client: redis.Redis, crawl_name: str
) -> Iterator[Crawl]:
    """A crawl of this test alone, on the session's Redis."""
    crawl = open_crawl(redis_url, crawl_name, redis_client)
    yield crawl
    runner.run(crawl.frontier.client.aclose())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test alone, to be killed and restarted; it writes each command to its disk."""
    with redis_server(tmp_path / "redis", appendfsync="always") as server:
        yield server


@pytest.fixture
def own_crawl(runner: asyncio.Runner, server: RedisServer) -> Iterator[Crawl]:
    """A crawl on the Redis of this test alone."""
    with redis.Redis.from_url(server.url) as client:
        crawl = open_crawl(server.url, "crawl", client)
        yield crawl
        runner.run(crawl.frontier.client.aclose())
