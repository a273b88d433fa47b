"""Whoever can write to Redis may write anything: no script fails on it, and what is ours goes on."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import redis

from crawlers.frontier import Batch, Failed, Member, News, length_when_cut

from .crawl import HOST, Crawl, give, ids, link, names, want

JUNK = [
    pickle.dumps(print),
    b"\xc1" * 100,
    b"\xdb\xff\xff\xff\xff",  # msgpack: 4 GB follow
    b"\x91" * 10_000,
    b"9" * 400,
    b"-1",
    b"1e309",
    b"nan",
    b"0x10",
    b"",
    b"\x00",
    b"__init__",
    b"return redis.call('FLUSHALL')",
]
TYPES: dict[str, Callable[[redis.Redis, str], Any]] = {
    "string": lambda client, key: client.set(key, "x"),
    "list": lambda client, key: client.rpush(key, "x"),
    "set": lambda client, key: client.sadd(key, "x"),
    "zset": lambda client, key: client.zadd(key, {"x": 1}),
    "hash": lambda client, key: client.hset(key, "x", "x"),
    "stream": lambda client, key: client.xadd(key, {"x": "x"}),
}
KEYS = {
    "meta": "hash",
    "workers": "zset",
    "busy": "set",
    "hungry": "set",
    "policy": "hash",
    "dead": "stream",
    "purge": "hash",
    f"manners:{HOST}": "string",
    "1:ready": "zset",
    "1:urgent": "zset",
    "1:pages": "hash",
    "1:suspects": "set",
    "1:hosts": "hash",
    f"1:priorities:{HOST}": "zset",
    f"1:requests:{HOST}:0": "list",
    "1:seen:0": "set",
    "1:leases:{worker}": "hash",
    "1:worker:{worker}": "hash",
}


async def worker_at_work(crawl: Crawl) -> Member:
    """A worker with two requests leased and two queued."""
    member = await crawl.join(limit=0, host_pages=1000)
    await give(
        member, [*(link(str(n), fingerprint=n) for n in range(3)), link("3", priority=-1, fingerprint=3)]
    )
    await want(member, 2)
    return member


async def goes_on(crawl: Crawl) -> bool:
    """A worker, in place of one that was fenced perhaps, can be given links and leases them."""
    member = await crawl.join("another", limit=0, host_pages=1000)
    await give(member, [link("new", "new.example", fingerprint=77)])
    for _ in range(10):
        reply = await want(member, 100)
        if "new" in names(reply):
            return True
        await member.exchange(Batch(done=ids(reply)))
    return False


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("key", KEYS)
async def test_a_key_of_another_type_is_set_aside_and_the_crawl_goes_on(
    crawl: Crawl, key: str, kind: str
) -> None:
    # Given a crawl under way, and one of its keys replaced by something of another type
    member = await worker_at_work(crawl)
    name = f"{crawl.tag}:{key.format(worker=member.name)}"
    if kind == KEYS[key]:
        return
    crawl.redis.delete(name)
    TYPES[kind](crawl.redis, name)

    # When the worker exchanges, then nothing fails
    news = [News.trouble(HOST, "HTTP 429", wait_ms=1)] if "manners" in key else []
    found, failed = [link("5", fingerprint=5)], [Failed(2, "x")]
    await member.exchange(Batch(found=found, news=news, done=[1], failed=failed, want=9))
    assert await goes_on(crawl)
    await member.leave()

    # And what stood there is kept under another name
    aside = f"{crawl.tag}:set-aside:{key.format(worker=member.name)}"
    assert crawl.redis.type(aside) == kind.encode()


@pytest.mark.parametrize(
    "field", ["next_us", "robots_us", "throttle_ms", "strikes", "rests", "wake_us", "why"]
)
@pytest.mark.parametrize("junk", JUNK, ids=repr)
async def test_nonsense_about_a_host_counts_for_nothing(crawl: Crawl, junk: bytes, field: str) -> None:
    # Given nonsense in what is known of a host
    member = await worker_at_work(crawl)
    crawl.bend_manners(**{field: junk})
    crawl.bend_work(start_by_us=junk)
    # When a worker tells of that host, and wants its pages, then it gets them
    await member.exchange(Batch(news=[News.answer(HOST, 5, 200)]))
    assert len((await want(member, 9)).leases) == 2


@pytest.mark.parametrize("junk", JUNK, ids=repr)
async def test_a_queue_entry_that_no_worker_wrote_becomes_a_dead_letter(crawl: Crawl, junk: bytes) -> None:
    # Given junk at the front of a queue
    member = await worker_at_work(crawl)
    crawl.redis.lpush(f"{crawl.base}:requests:{HOST}:0", junk)

    # When the queue is leased
    reply = await want(member, 3)

    # Then the requests behind it come out, and the junk is set aside
    assert names(reply) == ["2", "3"]
    assert [letter.payload for letter in crawl.letters()] == [junk[:500]]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
async def test_junk_in_any_field_fails_no_script(crawl: Crawl, junk: bytes) -> None:
    # Given junk in every field of every hash, in every set and in every list of a crawl
    member = await worker_at_work(crawl)
    bend_all(crawl, junk)

    # When a worker exchanges, another joins, the first leaves and what is cleared is freed
    await member.exchange(Batch(found=[link("6", fingerprint=6)], done=[1], failed=[Failed(2, "x")], want=9))
    assert await goes_on(crawl)
    await member.leave()
    await crawl.frontier.purge()

    # Then no script failed, which is to say: none of these raised


def bend_all(crawl: Crawl, junk: bytes) -> None:
    """Writes `junk` wherever there is room for it."""
    for name in crawl.key_names():
        key = f"{crawl.tag}:{name}"
        match crawl.redis.type(key):
            case b"hash":
                crawl.redis.hset(key, mapping=dict.fromkeys([*crawl.redis.hkeys(key), junk], junk))
            case b"set":
                crawl.redis.sadd(key, junk)
            case b"zset":
                crawl.redis.zadd(key, {junk: 0})
            case b"list":
                crawl.redis.lpush(key, junk)
            case b"stream":
                crawl.redis.xadd(key, {junk or b"x": junk})


@pytest.mark.parametrize("junk", JUNK, ids=repr)
async def test_junk_among_claims_loses_no_start_url(crawl: Crawl, crawl_name: str, junk: bytes) -> None:
    # Given a list of start URLs, and junk among what is claimed of it
    key = f"{crawl_name}:start_urls"
    crawl.redis.hset(f"{{{key}}}:claims:{crawl_name}", mapping={"last": junk, junk: junk})
    crawl.redis.zadd(f"{{{key}}}:claimed:{crawl_name}", {junk + b"0": 1})
    crawl.redis.rpush(key, "http://a.example/")

    # When the list is claimed
    claims = await crawl.frontier.claim(key, 10, 1000)

    # Then its entry comes out
    assert b"http://a.example/" in claims.entries


@pytest.mark.parametrize("suffix", ["claims", "claimed"])
async def test_a_key_in_the_place_of_claims_gives_way_and_stops_no_list(
    crawl: Crawl, crawl_name: str, suffix: str
) -> None:
    # Given a string where claims are kept
    key = f"{crawl_name}:start_urls"
    crawl.redis.set(f"{{{key}}}:{suffix}:{crawl_name}", "x")
    crawl.redis.rpush(key, "http://a.example/")

    # When the list is claimed
    claims = await crawl.frontier.claim(key, 10, 1000)

    # Then its entry comes out, and the key in the way has another name, which is told
    assert claims.entries == [b"http://a.example/"]
    ((kind, held, name),) = claims.aside
    assert (kind, held) == ("string", f"{{{key}}}:{suffix}:{crawl_name}")
    assert crawl.redis.get(name) == b"x"


async def test_an_entry_that_is_too_long_never_leaves_redis(crawl: Crawl, crawl_name: str) -> None:
    # Given a good entry amid two of 10 MB, pushed and claimed by a worker that died
    key = f"{crawl_name}:start_urls"
    big = "http://a.example/" + "x" * 10_000_000
    crawl.redis.rpush(key, big, "http://a.example/", big)
    crawl.redis.hset(f"{{{key}}}:claims:{crawl_name}", "7", big)
    crawl.redis.zadd(f"{{{key}}}:claimed:{crawl_name}", {"7": 1})
    sent = crawl.redis.info("stats")["total_net_output_bytes"]

    # When they are claimed, then of the long ones their lengths and beginnings come
    claims = await crawl.frontier.claim(key, 10, 60_000, 100_000)
    cut = [length_when_cut(entry) for entry in claims.entries]
    assert cut == [(len(big), big[:500].encode()), cut[0], None, cut[0]]

    # And no more is kept or sent of them
    assert (
        crawl.redis.memory_usage(f"{{{key}}}:claims:{crawl_name}") < 20_000_000
    )  # what the dead worker kept
    assert crawl.redis.info("stats")["total_net_output_bytes"] - sent < 50_000


async def test_one_claim_brings_no_more_than_some_megabytes(crawl: Crawl, crawl_name: str) -> None:
    # Given a hundred entries of 400 KB
    key = f"{crawl_name}:start_urls"
    crawl.redis.rpush(key, *("x" * 400_000 for _ in range(100)))

    # When they are claimed, then eleven come, which is more than 4 MB, and the others the next times
    assert len((await crawl.frontier.claim(key, 200, 60_000)).entries) == 11
    assert crawl.redis.llen(key) == 89
