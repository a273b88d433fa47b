"""Start URLs pushed to Redis are crawled; bad ones are set aside and stop no worker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from scrapy import Spider

from crawlers.frontier import Claims, Frontier, connect
from crawlers.intake import Intake
from crawlers.messages import BadEntry, request_of
from crawlers.pushed import STEERING
from deploy.local.practice_site import PracticeSite
from tests.helpers import RunningSpider, run_spider, start_spider, wait_until

LEAF = "/traps/leaf/"


SCORES = {"most": float("inf"), "urgent": 7, "half": 1.5, "plain": 0, "later": -3, "least": float("-inf")}


@pytest.fixture
def site(practice_site: PracticeSite) -> str:
    """The practice site without a slash at its end."""
    return practice_site.url.rstrip("/")


@pytest.fixture
def options(redis_url: str, tmp_path: Path, crawl_name: str) -> dict[str, Any]:
    """What every run of these spiders needs; `items.jsonl` is where their items go."""
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name},
        "settings": {
            "SPIDER_MODULES": "tests.integration.spiders",
            "ITEM_PIPELINES": "{}",
            "FEEDS": json.dumps({str(tmp_path / "items.jsonl"): {"format": "jsonlines"}}),
        },
        "env": {"REDIS_URL": redis_url},
    }


@pytest.fixture
def key(crawl_name: str) -> str:
    """The list that feeds the crawl."""
    return f"{crawl_name}:start_urls"


def items(folder: Path) -> list[dict[str, Any]]:
    """What the spider found, by URL."""
    lines = (folder / "items.jsonl").read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda item: item["url"])


@contextmanager
def waiting(spider: str, options: dict[str, Any]) -> Iterator[RunningSpider]:
    """The spider, once it waits for URLs."""
    options["settings"]["MAX_IDLE_TIME_BEFORE_CLOSE"] = 0
    with start_spider(spider, **options) as running:
        wait_until(lambda: "Reading start URLs from" in running.log_text)
        yield running


@pytest.mark.parametrize("push", ["lpush", "rpush", "sadd", "zadd"])
@pytest.mark.parametrize("spider", ["fed", "plain"])
def test_urls_are_taken_from_a_list_a_set_and_a_sorted_set(
    push: str, spider: str, site: str, key: str, options: dict[str, Any], redis_client: redis.Redis
) -> None:
    # Given URLs pushed before a worker starts
    urls = [f"{site}{LEAF}{i}" for i in range(5)]
    if push == "zadd":
        redis_client.zadd(key, {url: i for i, url in enumerate(urls)})
    else:
        getattr(redis_client, push)(key, *urls)

    # When it runs
    ended = run_spider(spider, **options)

    # Then it crawls them all and ends, and nothing is left in Redis of them
    assert ended.reason == "finished"
    assert [item["url"] for item in items(options["folder"])] == urls
    assert not redis_client.exists(key, f"{{{key}}}:claimed:{options['arguments']['crawl']}")


def test_a_listener_to_requests_is_told_of_each_pushed_url(
    site: str, key: str, options: dict[str, Any], redis_client: redis.Redis
) -> None:
    # Given plain URLs, for which nobody else would need requests
    urls = [f"{site}{LEAF}{i}" for i in range(5)]
    redis_client.rpush(key, *urls)

    # When they are crawled by a spider that listens
    ended = run_spider("told", **options)

    # Then it has heard of all, and they are crawled
    assert "'told/scheduled': 5" in ended.log
    assert [item["url"] for item in items(options["folder"])] == urls


def test_a_waiting_worker_fetches_a_pushed_url_within_a_fifth_of_a_second(
    site: str, key: str, options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a worker that waits, and the URLs of this test alone
    urls = [f"{site}{LEAF}{key}-{i}" for i in range(10)]
    delays_s = []
    with waiting("plain", options):
        for i, url in enumerate(urls):
            # When one is pushed
            pushed = time.monotonic()
            redis_client.lpush(key, url)

            # Then it is soon in the spider's hands
            wait_until(lambda n=i + 1: redis_client.hget(f"{{{crawl_name}}}:meta", "done") == b"%d" % n)
            delays_s.append(time.monotonic() - pushed)
    # A median, for a test's machine may be busy; fetching and completing the page are included.
    assert sorted(delays_s)[5] < 0.2, delays_s


def test_scrapy_redis_messages_make_the_requests_that_they_always_made(
    site: str, key: str, options: dict[str, Any], redis_client: redis.Redis
) -> None:
    # Given scrapy-redis' messages: a method, meta, and further fields as form data
    redis_client.rpush(
        key,
        json.dumps({"url": f"{site}{LEAF}a", "meta": {"job": 7}}),
        json.dumps({"url": f"{site}{LEAF}b", "method": "POST", "q": "x"}),
        json.dumps({"url": f"{site}{LEAF}c", "q": "x"}),
    )

    # When a spider of its classes reads them
    run_spider("fed", **options)

    # Then each is requested so
    assert items(options["folder"]) == [
        {"url": f"{site}{LEAF}a", "method": "GET", "body": "", "job": 7},
        {"url": f"{site}{LEAF}b", "method": "POST", "body": "q=x", "job": None},
        {"url": f"{site}{LEAF}c?q=x", "method": "GET", "body": "", "job": None},
    ]


@pytest.mark.parametrize("stock", [False, True])
def test_fields_of_a_request_in_a_message_are_taken_for_what_they_say(
    stock: bool, site: str, key: str, options: dict[str, Any], redis_client: redis.Redis
) -> None:
    # Given messages for a spider of scrapy-redis' classes with a body, headers, and null
    body = {"url": f"{site}{LEAF}a", "method": "POST", "body": "text", "headers": {"X-A": "1"}, "meta": None}
    both = {"url": f"{site}{LEAF}b", "method": "POST", "body": "text", "q": "x"}
    redis_client.rpush(key, json.dumps(body), json.dumps(both))
    options["settings"]["FRONTIER_STOCK_MESSAGES"] = stock
    # When it reads them
    run_spider("fed", **options)
    # Then they are what they say, and what can't be both is set aside; as in stock all are fields of a form
    found = [item["body"] for item in items(options["folder"])]
    [*letters] = redis_client.xrange(f"{{{options['arguments']['crawl']}}}:dead")
    if stock:
        assert found == ["body=text&headers=X-A", "body=text&q=x"]
    else:
        assert found == ["text"]
        assert b"it has a body and form data (q)" in letters[0][1][b"reason"]


def test_the_score_of_a_sorted_set_is_the_priority(
    site: str, key: str, options: dict[str, Any], redis_client: redis.Redis
) -> None:
    # Given URLs with scores, of which one is urgent and one can wait, and links that are queued before them
    redis_client.zadd(key, {f"{site}{LEAF}{name}": score for name, score in SCORES.items()})
    options["settings"] |= {"CONCURRENT_REQUESTS": 1, "CONCURRENT_REQUESTS_PER_DOMAIN": 1}
    # When they are crawled one by one
    run_spider("plain", **options)
    # Then they come in the order of their scores, whatever these are
    lines = (options["folder"] / "items.jsonl").read_text().splitlines()
    crawled = [json.loads(line)["url"].rpartition("/")[2] for line in lines]
    assert crawled == ["most", "urgent", "half", "plain", "later", "least"]


def test_a_message_may_set_all_that_a_request_has(
    site: str, key: str, options: dict[str, Any], redis_client: redis.Redis
) -> None:
    # Given a message for a spider that knows nothing of scrapy-redis
    message = {
        "url": f"{site}{LEAF}a",
        "method": "PUT",
        "body": "text",
        "headers": {"X-A": "1"},
        "priority": 3,
        "meta": {"job": 1},
        "callback": "parse",
    }
    redis_client.lpush(key, json.dumps(message))

    # When it reads it
    run_spider("plain", **options)

    # Then the request is so
    assert items(options["folder"]) == [{"url": f"{site}{LEAF}a", "method": "PUT", "body": "text", "job": 1}]


def test_a_make_request_from_data_of_the_spiders_own_is_called(
    site: str, key: str, options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a spider that makes its requests by itself, an entry for it, and one on which it fails
    redis_client.rpush(key, "no json", json.dumps({"urls": [f"{site}{LEAF}a", f"{site}{LEAF}b"]}))

    # When it runs
    run_spider("own", **options)

    # Then the one is crawled and the other set aside with the error
    assert [item["url"] for item in items(options["folder"])] == [f"{site}{LEAF}a", f"{site}{LEAF}b"]
    [(_, letter)] = redis_client.xrange(f"{{{crawl_name}}}:dead")
    assert letter[b"reason"].startswith(b"make_request_from_data: JSONDecodeError")


def test_rules_of_a_redis_crawl_spider_are_followed(
    site: str, key: str, options: dict[str, Any], redis_client: redis.Redis
) -> None:
    # Given scrapy-redis' spider with rules
    redis_client.lpush(key, f"{site}/")

    # When it runs
    run_spider("fed-crawl", **options)

    # Then it finds the pages that its rules lead to
    assert {f"{site}/page/{n}/" for n in range(2, 11)} <= {i["url"] for i in items(options["folder"])}


BAD = {
    b"no-scheme.example/path": b"does not start with http",
    b"file:///etc/passwd": b"does not start with http",
    b"http://": b"does not start with http",
    b"http://[bad": b"is not a URL",
    b"\xff\xfe\xfa": b"it is not utf-8",
    b'{"url": "http://x.example/"': b"starts like JSON and is none",
    b'{"meta": {}}': b'has no "url"',
    b'{"url": "http://x.example/", "colour": 1}': b"unknown field 'colour'",
    b'{"url": "http://x.example/", "priority": "high"}': b"must be a whole number",
    b'{"url": "http://x.example/", "callback": "__init__"}': b"no callback '__init__'",
    b'{"url": 7}': b"'url' must be a string",
    b"http://x.example/" + b"x" * 1_000_000: b"it is 1,000,017 bytes long",
    b"": b"does not start with http",
}


def test_bad_entries_become_dead_letters_and_stop_no_worker(
    site: str, key: str, options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given bad entries of every kind before and between good ones
    redis_client.rpush(key, f"{site}{LEAF}a", *BAD, f"{site}{LEAF}b")

    # When a worker reads them
    ended = run_spider("plain", **options)

    # Then it crawls the good ones, ends, and each bad one is set aside with its reason
    assert ended.reason == "finished"
    assert "Traceback" not in ended.log
    assert [item["url"] for item in items(options["folder"])] == [f"{site}{LEAF}a", f"{site}{LEAF}b"]
    letters = [letter for _, letter in redis_client.xrange(f"{{{crawl_name}}}:dead")]
    for (entry, reason), letter in zip(BAD.items(), letters, strict=True):
        assert letter[b"payload"] == entry[:500]
        assert reason in letter[b"reason"]
        assert letter[b"host"] == key.encode()


def test_a_key_that_holds_something_else_is_named_and_stops_no_worker(
    key: str, options: dict[str, Any], redis_client: redis.Redis
) -> None:
    # Given a plain string where the list should be
    redis_client.set(key, "http://x.example/")

    # When a worker starts
    ended = run_spider("plain", **options)

    # Then it says so, leaves it alone, and ends
    assert f"the key '{key}' holds a string; push start URLs to a list," in ended.log
    assert redis_client.get(key) == b"http://x.example/"
    assert ended.reason == "finished"


@asynccontextmanager
async def _reading(frontier: Frontier, key: str, hold_ms: int) -> AsyncIterator[tuple[Intake, list[str]]]:
    """An intake that reads `key`, and the URLs that it has had crawled."""
    crawled: list[str] = []
    spider = Spider("fed")
    spider.crawler = SimpleNamespace(  # type: ignore[assignment]
        engine=SimpleNamespace(crawl=lambda request: crawled.append(request.url))
    )
    worker: Any = SimpleNamespace(
        takes_start_urls=True, poll_s=0.01, flushed=lambda: asyncio.sleep(0), open_inside=lambda _host: None
    )
    async with aclosing(frontier.client):
        intake = Intake(spider, frontier, worker, keys=(key,), hold_ms=hold_ms, max_bytes=1000)
        reading = asyncio.create_task(intake.run())
        yield intake, crawled
        reading.cancel()


class _CutOff(Frontier):
    """Redis is gone when entries are to be released for the first time."""

    is_cut_off = True

    async def release(self, start_urls: str, claims: list[bytes]) -> None:
        """Fails once."""
        if self.is_cut_off:
            self.is_cut_off = False
            raise redis.exceptions.ConnectionError("gone")
        await super().release(start_urls, claims)


def test_entries_are_read_again_if_redis_went_away_before_they_were_released(
    redis_url: str, redis_client: redis.Redis, key: str, crawl_name: str
) -> None:
    # Given an entry whose link is in the frontier when Redis goes, and comes back without its last second
    redis_client.rpush(key, "http://a.example/")

    # When the list is read on
    async def read() -> list[str]:
        frontier = _CutOff(connect({"REDIS_URL": redis_url}), crawl_name)
        async with _reading(frontier, key, hold_ms=50) as (intake, crawled):
            while not (len(crawled) == 2 and intake.empty):
                await asyncio.sleep(0.01)
            return crawled

    crawled = asyncio.run(asyncio.wait_for(read(), 10))

    # Then the entry was read again once its claim had run out, and is released now
    assert crawled == ["http://a.example/"] * 2
    assert redis_client.zcard(f"{{{key}}}:claimed:{crawl_name}") == 0


class _Silent(Frontier):
    """Redis is gone for those who look for entries, while it is told so."""

    is_gone = False

    async def claim(self, start_urls: str, most: int, hold_ms: int, max_bytes: int = 1000) -> Claims:
        """Raises what redis-py raises then."""
        if self.is_gone:
            raise redis.exceptions.ConnectionError("gone")
        return await super().claim(start_urls, most, hold_ms, max_bytes)


def test_a_list_that_cannot_be_read_is_not_taken_for_empty(
    redis_url: str, redis_client: redis.Redis, key: str, crawl_name: str
) -> None:
    async def read() -> None:
        # Given a list that was found empty
        frontier = _Silent(connect({"REDIS_URL": redis_url}), crawl_name)
        async with _reading(frontier, key, hold_ms=5000) as (intake, crawled):
            while not intake.empty:
                await asyncio.sleep(0.01)

            # When Redis goes
            frontier.is_gone = True
            # Then it is known no longer to be empty
            while intake.empty:
                await asyncio.sleep(0.01)

            # When Redis is back, with an entry that had been claimed
            redis_client.rpush(key, "http://a.example/")
            frontier.is_gone = False
            # Then it is known again once that is read
            while not intake.empty:
                await asyncio.sleep(0.01)
            assert crawled == ["http://a.example/"]
            # And so it is when this worker was taken for dead
            intake.doubt()
            assert not intake.empty

    asyncio.run(asyncio.wait_for(read(), 10))


def test_entries_of_a_worker_that_died_are_taken_again(
    site: str, key: str, options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given an entry that some worker claimed long ago, and never released
    redis_client.hset(f"{{{key}}}:claims:{crawl_name}", mapping={"last": 1, "1": f"{site}{LEAF}a"})
    redis_client.zadd(f"{{{key}}}:claimed:{crawl_name}", {"1": 1})

    # When another runs
    run_spider("plain", **options)

    # Then it is crawled
    assert [item["url"] for item in items(options["folder"])] == [f"{site}{LEAF}a"]


@pytest.mark.parametrize("name", sorted(STEERING))
def test_a_pushed_message_steers_the_crawler_only_where_a_setting_allows_it(name: str) -> None:
    # Given a message with a key by which a request is handled otherwise
    message = json.dumps({"url": "http://a.example/", "meta": {name: "x", "job": 7}}).encode()
    spider = Spider("any")

    # When a request is made of it, then it is refused with the key, its use, and the setting
    with pytest.raises(BadEntry) as refused:
        request_of(message, spider)
    assert all(part in str(refused.value) for part in (repr(name), STEERING[name], "FRONTIER_PUSHED_META"))

    # And where the setting holds the key, it is taken
    assert request_of(message, spider, {name}).meta == {name: "x", "job": 7}


OWN = ["_frontier_given_back", "_frontier_start", "_frontier_robots", "_frontier_new", "host_waits"]
OWN += ["frontier_again", "is_start_request", "redirect_times", "redirect_ttl", "redirect_urls"]
OWN += ["retry_times", "download_slot", "_auth_proxy"]


@pytest.mark.parametrize(
    "name",
    OWN,
)
def test_a_pushed_message_holds_no_key_of_the_crawlers_own(name: str) -> None:
    # Given a message with such a key, when a request is made of it, then it is refused and says which, always
    for value in (True, 0, -1, None, {}):
        message = json.dumps({"url": "http://a.example/", "meta": {name: value}}).encode()
        with pytest.raises(BadEntry, match=f"'{name}', which only the crawler itself may write"):
            request_of(message, Spider("any"), STEERING)


HEADS: list[dict[str, Any]] = [
    {"method": "GET\r\nX: y"},
    {"method": "\x1b[2J"},
    {"method": "GET http://b.example/"},
    {"method": ""},
    {"headers": {"A\r\nB": "1"}},
    {"headers": {"A": "1\r\nB: 2"}},
    {"headers": {"A": ["1", "2\0"]}},
    {"headers": {"": "1"}},
]


@pytest.mark.parametrize("head", HEADS, ids=repr)
def test_a_pushed_message_begins_no_line_of_its_own(head: dict[str, Any]) -> None:
    # Given a method or header with more in it than one, when a request is made, then it is refused, printably
    with pytest.raises(BadEntry) as refused:
        request_of(json.dumps({"url": "http://a.example/", **head}).encode(), Spider("any"))
    assert str(refused.value).isprintable()


def test_what_is_pushed_reaches_the_log_as_one_line_and_the_frontier_without_keys_of_its_own(
    site: str, key: str, options: dict[str, Any], redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given bad entries with line breaks and codes of a terminal, one of 3 MB, and messages that would vanish
    forged = "\n2026-01-01 00:00:00 [scrapy] CRITICAL: forged \x1b[31m\u202e"
    big = f"{site}{LEAF}{'x' * 3_000_000}"
    messages = [
        {"url": f"{site}{LEAF}1", "meta": {"_frontier_given_back": True}},
        {"url": f"ftp://a{forged}"},
    ]
    messages += [{"url": f"{site}{LEAF}2", "method": f"GET{forged}"}, {"url": site, f"x{forged}": 1}]
    redis_client.rpush(key, *map(json.dumps, messages), forged, big, f"{site}{LEAF}good")

    # When a worker takes them
    ended = run_spider("plain", **options)

    # Then the good one is crawled, each other is a dead letter, and no line of the log was forged
    assert [item["url"] for item in items(options["folder"])] == [f"{site}{LEAF}good"]
    dead = redis_client.xrange(f"{{{crawl_name}}}:dead")
    assert len(dead) == len(messages) + 2
    assert all(len(fields[b"payload"]) <= 500 for _, fields in dead)
    assert any(b"bytes long" in fields[b"reason"] for _, fields in dead)
    assert "\n2026-01-01" not in ended.log
    assert "\x1b" not in ended.log
    assert "\u202e" not in ended.log
