"""A slow line to MongoDB carries what it can: nothing is sent again whole for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pymongo
import pytest
from pymongo.errors import NetworkTimeout
from scrapy.settings import Settings

from crawlers.deep import ChunkStore
from crawlers.deep.store import part_of
from crawlers.mongo import MongoConfig, Writer
from tests.slow_line import SlowLine, slow_line

Client = pymongo.MongoClient[dict[str, Any]]

TIMEOUT_S = 0.5
BYTES_PER_S = 1_000_000


@pytest.fixture
def line(mongo_uri: str) -> Iterator[SlowLine]:
    """A line to the session's MongoDB that carries 1 MB/s."""
    with slow_line(urlsplit(mongo_uri).port or 27017, BYTES_PER_S) as slow:
        yield slow


def config(line: SlowLine, database: str) -> MongoConfig:
    """MongoDB behind the line, in attempts of half a second."""
    uri = f"mongodb://127.0.0.1:{line.port}/?directConnection=true"
    return MongoConfig.of(
        Settings({"MONGO_URI": uri, "MONGO_DATABASE": database, "MONGO_TIMEOUT_S": TIMEOUT_S})
    )


async def write(config: MongoConfig, number: int, size: int) -> float:
    """Write `number` documents of `size` bytes at once. Returns after how many seconds all were stored."""
    writer = Writer(config)
    began_s = time.monotonic()
    await asyncio.gather(*(writer.write("things", {"_id": i, "x": "x" * size}) for i in range(number)))
    took_s = time.monotonic() - began_s
    await writer.close()
    return took_s


def test_a_batch_that_takes_longer_than_an_attempt_is_halved_until_it_passes(
    line: SlowLine, database: str, mongo_client: Client
) -> None:
    # Given a line that carries in an attempt a fifth of what a worker has to send
    total = 100 * 25_000

    # When the worker sends it
    took_s = asyncio.run(asyncio.wait_for(write(config(line, database), 100, 25_000), 60))

    # Then all of it arrives, in no more than four times the line's own time
    assert mongo_client[database]["things"].count_documents({}) == 100
    assert took_s < 4 * total / BYTES_PER_S


def test_a_single_document_that_is_too_slow_gets_more_time_which_is_said_once(
    line: SlowLine, database: str, mongo_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    # When documents come of which each takes one second, twice an attempt
    asyncio.run(asyncio.wait_for(write(config(line, database), 2, 1_000_000), 60))

    # Then they arrive, and one line says why that takes so long
    assert mongo_client[database]["things"].count_documents({}) == 2
    (said,) = [record.getMessage() for record in caplog.records if "line to MongoDB is slow" in record.msg]
    assert "MONGO_TIMEOUT_S" in said


def test_a_line_that_stalls_and_recovers_is_used_as_before(
    line: SlowLine, database: str, mongo_client: Client
) -> None:
    async def scenario() -> float:
        # Given a line that stalls amid a write, for some attempts
        line.bytes_per_s = 20_000_000
        writing = asyncio.create_task(write(config(line, database), 400, 50_000))
        while line.carried < 2_000_000:
            await asyncio.sleep(0.01)
        line.bytes_per_s = 0
        await asyncio.sleep(4 * TIMEOUT_S)

        # When it carries again
        line.bytes_per_s = 20_000_000
        began_s = time.monotonic()
        await asyncio.wait_for(writing, 60)
        return time.monotonic() - began_s

    # Then what was left, of which a second is the line's own, soon arrives
    assert asyncio.run(scenario()) < 10
    assert mongo_client[database]["things"].count_documents({}) == 400


def test_chunks_of_queues_pass_a_slow_line_and_come_back(line: SlowLine, database: str) -> None:
    # Given parts of chunks, of which all and each take longer than an attempt
    parts = [part_of("shelf", "crawl", "chunk", first, [b"x" * 900_000]) for first in range(3)]

    async def scenario() -> int:
        store, attempts = ChunkStore(config(line, database)), 0
        while True:
            # When they are written, again with other names after each failure, as the mover does
            attempts += 1
            named = [{**part, "_id": f"{part['_id']}".replace("chunk", f"c{attempts}")} for part in parts]
            with suppress(NetworkTimeout):
                await store.write(named)
                break
        # Then they are there after a few attempts, and are read
        read = [elements async for elements in store.read("shelf", f"c{attempts}")]
        assert read == [[b"x" * 900_000]] * 3
        await store.aclose()
        return attempts

    assert asyncio.run(asyncio.wait_for(scenario(), 60)) <= 6
