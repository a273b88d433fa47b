"""Every robots.txt that workers keep for each other fits into a budget, and clear frees it."""

from __future__ import annotations

import random
import zlib
from functools import lru_cache
from pathlib import Path

import pytest
import redis

from crawlers.frontier import Batch, Frontier, News, connect
from crawlers.frontier.operations import Crawl as OperatedCrawl
from crawlers.frontier.operations import clear
from deploy.local.servers import redis_server
from tests.contract.crawl import Crawl, ids, link, visit

DAY_MS = 86_400_000
RULES = b"User-agent: *\n" + b"".join(b"Disallow: /private/%d/\n" % number for number in range(20_000))
MB = 1024 * 1024


@lru_cache
def noise(size: int) -> bytes:
    """What doesn't compress."""
    return random.Random(size).randbytes(size)


def origin(number: int) -> str:
    """One of many sites."""
    return f"https://host-{number}.example"


async def test_a_robots_txt_comes_back_as_it_was_and_takes_a_tenth(crawl: Crawl) -> None:
    # Given texts of all kinds, when they are kept, then they come back
    for number, text in enumerate([b"", b"Disallow: /", RULES, noise(500_000), b"x\x9cno zlib"]):
        await crawl.frontier.keep_robots(origin(number), text, DAY_MS, 0)
        assert await crawl.frontier.robots(origin(number)) == text
    assert await crawl.frontier.robots("https://unknown.example") is None
    # And one of rules takes a tenth of its length at most
    assert crawl.redis.memory_usage(f"{crawl.tag}:robots:{origin(2)}") < len(RULES) / 8


async def test_those_used_longest_ago_make_room(crawl: Crawl) -> None:
    # Given a budget of 1 MB, and the robots.txt of three sites in it, of which the first was just used
    for number in range(3):
        await crawl.frontier.keep_robots(origin(number), noise(300_000), DAY_MS, MB)
    before_ms = crawl.redis.time()[0] * 1000 - 10_000
    crawl.redis.zadd(f"{crawl.tag}:robots_kept", {origin(number): before_ms + number for number in range(3)})
    assert await crawl.frontier.robots(origin(0))
    # When another is kept, then the second is gone
    await crawl.frontier.keep_robots(origin(3), noise(300_000), DAY_MS, MB)
    kept = [number for number in range(4) if await crawl.frontier.robots(origin(number))]
    assert kept == [0, 2, 3]
    # And one beyond the whole budget isn't kept, and takes nobody's place
    await crawl.frontier.keep_robots(origin(4), noise(2 * MB), DAY_MS, MB)
    assert await crawl.frontier.robots(origin(4)) is None
    assert await crawl.frontier.robots(origin(0))


async def test_the_budget_is_of_redis_own_memory_for_large_and_for_empty_ones(crawl: Crawl) -> None:
    # Given a budget of 1 MB, when many sites have none, small and large ones, and some come again
    for number in range(3000):
        text = noise(10_000) if number % 10 == 0 else b"Disallow: /a" if number % 2 else b""
        await crawl.frontier.keep_robots(origin(number % 2500), text, DAY_MS, MB)
    # Then all that Redis holds of them fits into the budget, and its own account is right
    keys = list(crawl.redis.scan_iter(f"{crawl.tag}:robots*", count=1000))
    taken = sum(crawl.redis.memory_usage(key, samples=0) or 0 for key in keys)
    assert taken < MB
    sizes = {name: int(size) for name, size in crawl.redis.hgetall(f"{crawl.tag}:robots_sizes").items()}
    assert sizes.pop(b"") == sum(sizes.values()) <= MB
    assert len(sizes) == crawl.redis.zcard(f"{crawl.tag}:robots_kept") == len(keys) - 2


async def test_it_never_takes_more_than_an_eighth_of_redis(tmp_path: Path, crawl_name: str) -> None:
    # Given a Redis of 40 MB that evicts nothing
    with redis_server(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 40 * MB)
        client.config_set("maxmemory-policy", "noeviction")
        frontier = Frontier(connect({"REDIS_URL": server.url}), crawl_name)
        # When 100 sites send 500 KB each that don't compress
        for number in range(100):
            await frontier.keep_robots(origin(number), noise(500_000), DAY_MS, 0)
        # Then Redis still takes writes, and the last are there
        assert client.info("memory")["used_memory"] < 12 * MB
        assert await frontier.robots(origin(99))
        await frontier.client.aclose()


async def test_clear_frees_what_sites_sent_and_not_what_they_are_owed(crawl: Crawl) -> None:
    # Given two hosts whose robots.txt was read, one of which asked for a delay of an hour
    member = await crawl.join(robots=True)
    await crawl.frontier.keep_robots(origin(1), RULES, DAY_MS, 0)
    for host, delay_ms in (("well.example", 0), ("slow.example", 3_600_000)):
        first = await member.exchange(Batch(found=[link("x", host)], want=1))
        await visit(member, first, news=[News.robots(host, delay_ms, DAY_MS)], done=ids(first))
    assert crawl.redis.exists(f"{crawl.tag}:manners:well.example")
    # When the crawl is cleared
    await clear(await OperatedCrawl.open(crawl.frontier.client, crawl.frontier.crawl))
    # Then the delay is all that is left of them
    left = {key.decode().removeprefix(f"{crawl.tag}:") for key in crawl.redis.scan_iter(f"{crawl.tag}:*")}
    assert left - {"meta", "policy"} == {"manners:slow.example"}


@pytest.mark.parametrize("name", ["robots_kept", "robots_sizes", f"robots:{origin(1)}"])
async def test_a_key_of_another_type_gives_way(crawl: Crawl, name: str) -> None:
    # Given a list in the place of one of its keys, when a robots.txt is kept, then it comes back
    crawl.redis.lpush(f"{crawl.tag}:{name}", "x")
    await crawl.frontier.keep_robots(origin(1), RULES, DAY_MS, 0)
    assert await crawl.frontier.robots(origin(1)) == RULES


async def test_a_bomb_in_the_place_of_a_robots_txt_is_read_as_far_as_any(crawl: Crawl) -> None:
    # Given what zlib would make a gigabyte of, under its key
    bomb = zlib.compress(bytes(50 * MB))
    crawl.redis.set(f"{crawl.tag}:robots:{origin(1)}", bomb)
    # When it is read, then no more comes than of any other
    text = await crawl.frontier.robots(origin(1))
    assert text is not None
    assert len(text) <= 512 * 1024
