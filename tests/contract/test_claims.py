"""Start URLs that people push: each is handed to one reader, and to another if that one dies."""

from __future__ import annotations

import asyncio

import pytest

from crawlers.frontier import BadCrawlName, BadStartUrls, Frontier, connect, score_of

from .crawl import LONG_MS, Crawl


@pytest.fixture
def start_urls(crawl: Crawl) -> str:
    """The key of a list of this test alone."""
    return f"start_urls:{crawl.frontier.crawl}"


async def test_a_list_is_read_from_its_head(crawl: Crawl, start_urls: str) -> None:
    # Given entries pushed as scrapy-redis' users do, and others at the end
    crawl.redis.lpush(start_urls, "b", "a")
    crawl.redis.rpush(start_urls, "c")
    # When some are claimed, and the rest
    first = await crawl.frontier.claim(start_urls, 2, LONG_MS)
    rest = await crawl.frontier.claim(start_urls, 2, LONG_MS)
    # Then they come in order, and each answer says what is left or claimed
    assert (first.entries, first.left) == ([b"a", b"b"], 3)
    assert (rest.entries, rest.left) == ([b"c"], 3)
    assert len({*first.claims, *rest.claims}) == 3


async def test_a_sorted_set_is_read_from_its_highest_score(crawl: Crawl, start_urls: str) -> None:
    # Given entries with priorities
    crawl.redis.zadd(start_urls, {"low": -1.5, "high": 10, "middle": 2})
    # When they are claimed
    claimed = await crawl.frontier.claim(start_urls, 5, LONG_MS)
    # Then the highest comes first, each with its score as its priority
    assert list(map(score_of, claimed.entries)) == [(10, b"high"), (2, b"middle"), (-2, b"low")]


async def test_a_set_is_read_in_any_order(crawl: Crawl, start_urls: str) -> None:
    # Given a set of entries
    crawl.redis.sadd(start_urls, "a", "b", "c")
    # When they are claimed
    claimed = [await crawl.frontier.claim(start_urls, 2, LONG_MS) for _ in range(2)]
    # Then all come
    assert {entry for part in claimed for entry in part.entries} == {b"a", b"b", b"c"}


async def test_a_key_that_is_not_there_has_no_entries(crawl: Crawl, start_urls: str) -> None:
    # Given nothing
    # When entries are claimed
    claimed = await crawl.frontier.claim(start_urls, 5, LONG_MS)
    # Then there are none, and no key was made
    assert (claimed.claims, claimed.entries, claimed.left) == ([], [], 0)
    assert crawl.redis.keys(f"*{start_urls}*") == []


@pytest.mark.parametrize("kind", ["string", "hash", "stream"])
async def test_a_key_of_another_type_is_refused_and_left_alone(
    crawl: Crawl, start_urls: str, kind: str
) -> None:
    # Given something else under the name of the list
    writes = {
        "string": lambda: crawl.redis.set(start_urls, "http://a.example/"),
        "hash": lambda: crawl.redis.hset(start_urls, "url", "http://a.example/"),
        "stream": lambda: crawl.redis.xadd(start_urls, {"url": "http://a.example/"}),
    }
    writes[kind]()
    before = crawl.redis.dump(start_urls)
    # When entries are claimed
    with pytest.raises(BadStartUrls) as refused:
        await crawl.frontier.claim(start_urls, 5, LONG_MS)
    # Then the error names the key, what it holds, and what to do
    text = str(refused.value)
    assert all(word in text for word in (start_urls, f"holds a {kind}", "push start URLs to a list"))
    assert crawl.redis.dump(start_urls) == before


async def test_two_readers_never_get_the_same_entry(crawl: Crawl, start_urls: str) -> None:
    # Given 500 entries and two readers with connections of their own
    crawl.redis.rpush(start_urls, *range(500))
    kwargs = crawl.redis.connection_pool.connection_kwargs
    other = connect({"REDIS_HOST": kwargs["host"], "REDIS_PORT": kwargs["port"], "REDIS_DB": kwargs["db"]})
    frontiers = [crawl.frontier, Frontier(other, crawl.frontier.crawl)]

    async def read(frontier: Frontier) -> list[bytes]:
        entries: list[bytes] = []
        while claimed := (await frontier.claim(start_urls, 7, LONG_MS)).entries:
            entries += claimed
        return entries

    # When both read as fast as they can
    parts = await asyncio.gather(*map(read, frontiers))
    await other.aclose()
    # Then each entry went to one of them
    assert all(parts)
    assert sorted(map(int, parts[0] + parts[1])) == list(range(500))


async def test_claims_that_were_not_released_in_time_are_handed_out_again_before_new_ones(
    crawl: Crawl, start_urls: str
) -> None:
    # Given two entries whose reader died, and a new one
    crawl.redis.rpush(start_urls, "a", "b")
    lost = await crawl.frontier.claim(start_urls, 5, hold_ms=0)
    crawl.redis.rpush(start_urls, "new")
    # When another reader claims
    claimed = await crawl.frontier.claim(start_urls, 5, LONG_MS)
    # Then it gets all, the old ones under their old claims, and nobody gets them a third time
    assert claimed.entries == [b"a", b"b", b"new"]
    assert claimed.claims[:2] == lost.claims
    assert (await crawl.frontier.claim(start_urls, 5, LONG_MS)).entries == []


async def test_claims_are_not_handed_out_again_within_their_time(crawl: Crawl, start_urls: str) -> None:
    # Given a claimed entry
    crawl.redis.rpush(start_urls, "a")
    await crawl.frontier.claim(start_urls, 5, LONG_MS)
    # When another reader claims
    claimed = await crawl.frontier.claim(start_urls, 5, LONG_MS)
    # Then it gets nothing, but knows that there is something
    assert (claimed.entries, claimed.left) == ([], 1)


async def test_what_is_released_is_forgotten(crawl: Crawl, start_urls: str) -> None:
    # Given three claimed entries
    crawl.redis.rpush(start_urls, "a", "b", "c")
    claimed = await crawl.frontier.claim(start_urls, 5, hold_ms=0)
    # When two are released, twice, because the first reply was lost
    await crawl.frontier.release(start_urls, claimed.claims[:2])
    await crawl.frontier.release(start_urls, claimed.claims[:2])
    # Then the third is all that is left
    again = await crawl.frontier.claim(start_urls, 5, hold_ms=0)
    assert (again.entries, again.left) == ([b"c"], 1)


async def test_two_crawls_may_share_a_list(crawl: Crawl, start_urls: str) -> None:
    # Given one list and two crawls
    crawl.redis.rpush(start_urls, "a", "b")
    other = Frontier(crawl.frontier.client, f"{crawl.frontier.crawl}-other")
    # When both claim, and one of them dies
    mine = await crawl.frontier.claim(start_urls, 1, hold_ms=0)
    others = await other.claim(start_urls, 1, hold_ms=LONG_MS)
    # Then each goes on with its own claims
    assert (mine.entries, others.entries) == ([b"a"], [b"b"])
    assert (await other.claim(start_urls, 5, LONG_MS)).entries == []
    assert (await crawl.frontier.claim(start_urls, 5, LONG_MS)).entries == [b"a"]


@pytest.mark.parametrize("key", ["{%s}:start_urls", "start:{%s}", "{%s}", "%s start urls", "%s"])
async def test_a_list_may_have_a_hash_tag_or_spaces_in_its_name(crawl: Crawl, key: str) -> None:
    # Given an entry in a list with such a name
    key = key % crawl.frontier.crawl
    crawl.redis.rpush(key, "a")
    # When it is claimed and released
    claimed = await crawl.frontier.claim(key, 5, LONG_MS)
    await crawl.frontier.release(key, claimed.claims)
    # Then that works as for any
    assert claimed.entries == [b"a"]
    assert (await crawl.frontier.claim(key, 5, LONG_MS)).left == 0


@pytest.mark.parametrize("key", ["start}urls", "{}start:{a}", "}{", ""])
async def test_a_list_whose_braces_are_no_hash_tag_is_refused(crawl: Crawl, key: str) -> None:
    # Given a name for which no other key shares its node of a Redis Cluster
    # When entries are claimed
    # Then the error names it
    with pytest.raises(BadStartUrls, match="can't name a key of start URLs"):
        await crawl.frontier.claim(key, 5, LONG_MS)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a\n",
        "{a}",
        "a}",
        "{",
        "x" * 101,
        "\N{NO-BREAK SPACE}",
        "a\udcff",
        "\x1b[31m",
        "a\x00",
        "\u200e",
    ],
)
async def test_a_crawl_name_that_cannot_be_a_hash_tag_is_refused(crawl: Crawl, name: str) -> None:
    # Given a name with spaces or braces, an empty or a very long one
    # When a crawl is to have it
    # Then the error says what a name may be
    with pytest.raises(BadCrawlName, match="1 to 100 characters that can be printed"):
        Frontier(crawl.frontier.client, name)
