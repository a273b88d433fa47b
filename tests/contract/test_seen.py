"""The set of what was seen: exact, and small at any size."""

from __future__ import annotations

import random

import redis

from crawlers.frontier import Batch, Found, Member

from .crawl import HOST, Crawl, give, link, want

EDGES = [0, -1, 1, 2**53, 2**53 + 1, -(2**53) - 1, 10**14, -(10**14), 2**63 - 1, -(2**63), 2**62]
_BATCH = 5000


def _random_fingerprints(number: int) -> list[int]:
    source = random.Random(2026)
    fingerprints = {source.randrange(-(2**63), 2**63) for _ in range(number)}
    assert len(fingerprints) == number
    return list(fingerprints)


async def _find(member: Member, fingerprints: list[int]) -> int:
    """Hands in links with these fingerprints. Returns how many were known."""
    known = 0
    for at in range(0, len(fingerprints), _BATCH):
        found = [Found(fingerprint, HOST, 0, b"") for fingerprint in fingerprints[at : at + _BATCH]]
        known += (await give(member, found)).known
    return known


def _buckets(crawl: Crawl) -> list[str]:
    return [f"{crawl.tag}:{key}" for key in crawl.key_names("*:seen:*")]


def _encodings(client: redis.Redis, keys: list[str]) -> set[bytes]:
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.object("ENCODING", key)
        return set(pipe.execute())


def _bytes_used(client: redis.Redis, keys: list[str]) -> int:
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.memory_usage(key, samples=0)
        return sum(pipe.execute())


async def test_what_was_seen_stays_in_sets_of_integers_and_takes_ten_bytes_a_url(crawl: Crawl) -> None:
    # Given a crawl that grows from 10 to 200,000 URLs
    member = await crawl.join()
    fingerprints = _random_fingerprints(200_000)
    known, at = 0, 0
    for size in (10, 100, 1_000, 10_000, 50_000, 200_000):
        known += await _find(member, fingerprints[at:size])
        at = size
        # When it is looked at
        buckets = _buckets(crawl)
        # Then each bucket is an intset, the only one that needs no pointers
        assert _encodings(crawl.redis, buckets) == {b"intset"}
    # Then no URL was taken for another, and each takes ten bytes at most
    used = _bytes_used(crawl.redis, buckets) / len(fingerprints)
    allocator = crawl.redis.info("memory")["mem_allocator"]
    print(f"{used:.2f} bytes a URL in {len(buckets)} buckets ({allocator})")
    assert known == 0
    assert used <= 10


async def test_all_that_was_seen_is_known_again(crawl: Crawl) -> None:
    # Given a crawl that has seen 30,000 URLs in an order of its own
    member = await crawl.join()
    fingerprints = _random_fingerprints(30_000)
    assert await _find(member, fingerprints) == 0
    # When all are found again, in another order
    random.Random(7).shuffle(fingerprints)
    # Then each is known, and none is queued twice
    assert await _find(member, fingerprints) == 30_000
    status = await crawl.frontier.status()
    assert (status.enqueued, status.dropped) == (30_000, 30_000)


async def test_fingerprints_at_the_edges_are_told_apart(crawl: Crawl) -> None:
    # Given the smallest and largest fingerprints, and those at which Lua's numbers are no longer exact
    member = await crawl.join()
    neighbours = {edge + by for edge in EDGES for by in (-1, 0, 1)}
    edges = sorted(n for n in neighbours if -(2**63) <= n < 2**63)
    # When they are found, amid so many that their buckets split several times, and again
    new = await _find(member, edges)
    between = await _find(member, _random_fingerprints(5_000))
    again = await _find(member, edges)
    # Then each is new once, and known from then on
    assert (new, between, again) == (0, 0, len(edges))


async def test_links_of_one_bucket_are_told_apart_even_if_all_fall_into_it(crawl: Crawl) -> None:
    # Given fingerprints whose low bits are all the same, more than fit on the stack of Redis' Lua
    member = await crawl.join()
    fingerprints = [n << 30 for n in range(9000)]
    # When they are found, and again
    # Then the set is exact, if not small
    assert await _find(member, fingerprints) == 0
    assert await _find(member, fingerprints) == 9000


async def test_what_was_seen_survives_the_growth_of_the_set_between_two_workers(crawl: Crawl) -> None:
    # Given two workers that find the same 3,000 links at once, in opposite orders
    first, second = await crawl.join(), await crawl.join()
    fingerprints = _random_fingerprints(3000)
    known = 0
    for at in range(0, 3000, 100):
        forward = [link("", fingerprint=f) for f in fingerprints[at : at + 100]]
        backward = [link("", fingerprint=f) for f in fingerprints[::-1][at : at + 100]]
        known += (await first.exchange(Batch(found=forward))).known
        known += (await second.exchange(Batch(found=backward))).known
    # When what is queued is counted
    # Then each is queued once
    assert known == 3000
    assert (await want(first, 0)).counts.enqueued == 3000


async def test_the_small_form_takes_five_bytes_a_url(crawl: Crawl) -> None:
    # Given a crawl of the small form that has seen a million URLs
    member = await crawl.join(seen_small=True)
    fingerprints = _random_fingerprints(1_000_000)
    assert await _find(member, fingerprints) == 0
    # When it is looked at, then its buckets are intsets, each URL takes some five bytes, and is known again
    buckets = _buckets(crawl)
    used = _bytes_used(crawl.redis, buckets) / len(fingerprints)
    print(f"{used:.2f} bytes a URL in {len(buckets)} buckets")
    assert _encodings(crawl.redis, buckets) == {b"intset"}
    assert used <= 5.2
    assert await _find(member, fingerprints[::100]) == 10_000


async def test_of_the_small_form_each_of_44_bits_counts_and_no_other(crawl: Crawl) -> None:
    # Given a crawl of the small form, so large that its buckets have been split
    member = await crawl.join(seen_small=True)
    await _find(member, _random_fingerprints(900_000))
    seen = 0x5_5555_5555
    assert await _find(member, [seen]) == 0
    # When others come, then those that differ in one of these bits are new, and those in front of them not
    assert await _find(member, [seen ^ 1 << bit for bit in range(44)]) == 0
    assert await _find(member, [seen + 10**14, -seen, seen - 10**14 * 3]) == 2


async def test_a_crawl_keeps_its_form_until_it_starts_with_nothing_seen(crawl: Crawl) -> None:
    # Given an exact crawl, and two fingerprints of which the small form would take one for the other
    exact = await crawl.join()
    alike = [link("page", fingerprint=2**60), link("other", fingerprint=2**60 + 10**14)]
    await give(exact, alike[:1])
    # When a worker joins that is set to the small form, then nothing changes; with a flush it does
    small = await crawl.join(seen_small=True)
    assert (await give(small, alike)).known == 1
    await exact.leave()
    await small.leave()
    anew = await crawl.join(seen_small=True, flush=True)
    assert (await give(anew, alike)).known == 1
