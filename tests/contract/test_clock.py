"""Redis' clock steps: a crawl neither stands still nor takes its living workers for dead."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from crawlers.frontier import Batch, News
from deploy.local.servers import RedisServer
from tests.helpers import wait_until

from .crawl import HOST, Crawl, give, ids, links, names, open_crawl, visit, want

_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
_TTL_MS = 20_000


class SteppingRedis(RedisServer):
    """A Redis whose clock is what it is plus an offset that a test may change (libfaketime)."""

    def step(self, offset_s: float) -> None:
        """From now on its clock is so many seconds ahead, less than 0: behind."""
        new = self.folder / "offset.new"
        new.write_text(f"{offset_s:+g}s\n")
        new.rename(self.folder / "offset")
        if self.running:
            with redis.Redis.from_url(self.url) as client:
                wait_until(lambda: abs(client.time()[0] - time.time() - offset_s) < 5)


@pytest.fixture
def stepping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SteppingRedis]:
    """One such Redis of a test's own."""
    if _LIBRARY is None:
        pytest.skip("libfaketime is missing: apt-get install faketime")
    folder = tmp_path / "redis"
    folder.mkdir()
    server = SteppingRedis(folder, appendonly=False)
    server.step(0)
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(_LIBRARY))
        patch.setenv("FAKETIME_TIMESTAMP_FILE", str(folder / "offset"))
        patch.setenv("FAKETIME_NO_CACHE", "1")
        patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        server.start()
    assert "LD_PRELOAD" not in os.environ
    yield server
    server.kill()


@pytest.fixture
def crawl_there(runner: object, stepping: SteppingRedis) -> Iterator[Crawl]:
    """A crawl on it."""
    with redis.Redis.from_url(stepping.url) as client:
        crawl = open_crawl(stepping.url, "crawl", client)
        yield crawl
        runner.run(crawl.frontier.client.aclose())  # type: ignore[attr-defined]


@pytest.mark.parametrize("delay_ms", [0, 1])
async def test_hosts_that_wait_are_asked_after_the_clock_went_back(
    crawl_there: Crawl, stepping: SteppingRedis, delay_ms: int
) -> None:
    # Given many hosts that wait, with or without a delay, some of which were asked just now
    member = await crawl_there.join(ttl_ms=_TTL_MS, delay_ms=delay_ms, limit=1)
    hosts = [f"{n}.example" for n in range(150)]
    await give(member, [link for host in hosts for link in links(2, host)])
    leased = await want(member, 100)
    await visit(member, leased)
    # When the clock goes back
    stepping.step(-600)
    # Then work goes on at once, and the worker hears of it
    reply = await member.exchange(Batch(done=ids(leased), want=50))
    assert reply.silent_ms < -590_000
    done = len(leased.leases)
    for _ in range(60):
        done += len(reply.leases)
        await visit(member, reply)
        reply = await member.exchange(Batch(done=ids(reply), want=50))
    assert done == 300


async def test_no_gap_is_cut_short_after_the_clock_went_back(
    crawl_there: Crawl, stepping: SteppingRedis
) -> None:
    # Given a host with a long delay that was asked just now
    member = await crawl_there.join(ttl_ms=_TTL_MS, delay_ms=60_000)
    await give(member, links(3))
    leased = await want(member, 1)
    await visit(member, leased)
    # When the clock goes back
    stepping.step(-600)
    # Then its next turn is in one gap, neither sooner nor later
    reply = await member.exchange(Batch(done=ids(leased), want=3))
    reply = await want(member, 3)
    assert reply.leases == []
    assert reply.due_ms is not None
    assert 55_000 < reply.due_ms <= 61_000


async def test_a_turn_that_was_out_when_the_clock_went_back_ends(
    crawl_there: Crawl, stepping: SteppingRedis
) -> None:
    # Given a worker that has a host's turn and says nothing more of it
    member = await crawl_there.join(ttl_ms=_TTL_MS, delay_ms=1, start_ms=1)
    await give(member, links(2))
    assert len((await want(member, 2)).leases) == 1
    # When the clock goes back
    stepping.step(-600)
    # Then the next one has its turn soon
    got: list[str] = []
    for _ in range(50):
        got += names(await want(member, 2))
    assert got == ["1"]


async def test_a_dead_worker_is_reaped_in_time_though_the_clock_went_back(
    crawl_there: Crawl, stepping: SteppingRedis
) -> None:
    # Given a worker that is dead, and one that lives
    dead, member = await crawl_there.join(ttl_ms=_TTL_MS), await crawl_there.join(ttl_ms=_TTL_MS)
    await give(dead, links(2))
    await want(dead, 2)
    # When the clock goes back
    stepping.step(-600)
    await want(member, 1)
    # Then its time runs out as soon as it would have
    until_ms = crawl_there.redis.zscore(f"{crawl_there.tag}:workers", dead.name)
    seconds, microseconds = crawl_there.redis.time()
    assert until_ms <= seconds * 1000 + microseconds / 1000 + _TTL_MS


async def test_nobody_alive_is_reaped_when_the_clock_goes_forward(
    crawl_there: Crawl, stepping: SteppingRedis
) -> None:
    # Given three workers with leases
    members = [await crawl_there.join(ttl_ms=_TTL_MS) for _ in range(3)]
    await give(members[0], links(6))
    leased = [await want(member, 2) for member in members]
    # When the clock goes forward by more than their time to live
    stepping.step(600)
    # Then all of them go on with what they hold
    replies = [
        await member.exchange(Batch(done=ids(reply))) for member, reply in zip(members, leased, strict=True)
    ]
    assert not any(reply.fenced for reply in replies)
    assert replies[-1].counts.done == 6
    assert replies[0].silent_ms > 590_000


async def test_start_urls_of_a_dead_worker_are_handed_out_again_though_the_clock_went_back(
    crawl_there: Crawl, stepping: SteppingRedis
) -> None:
    # Given a start URL that a worker has claimed, who then died
    key = f"{crawl_there.tag}:start_urls"
    crawl_there.redis.rpush(key, "url")
    await crawl_there.frontier.claim(key, 1, hold_ms=50)
    # When the clock goes back
    stepping.step(-600)

    # Then another worker gets it after the time for which it was held
    async def handed_out() -> list[bytes]:
        while not (entries := (await crawl_there.frontier.claim(key, 1, hold_ms=50)).entries):
            await asyncio.sleep(0.005)
        return entries

    assert await asyncio.wait_for(handed_out(), 10) == [b"url"]


async def test_a_host_that_sleeps_is_left_alone_though_the_clock_went_back(
    crawl_there: Crawl, stepping: SteppingRedis
) -> None:
    # Given a host that asked to be left alone for a minute
    member = await crawl_there.join(ttl_ms=_TTL_MS)
    await give(member, links(3))
    leased = await want(member, 1)
    await member.exchange(Batch(done=ids(leased), news=[News.trouble(HOST, "503", wait_ms=60_000)]))
    # When the clock goes back
    stepping.step(-600)
    # Then it is
    assert (await want(member, 3)).leases == []
    assert (await want(member, 3)).leases == []
