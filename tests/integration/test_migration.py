"""A crawl of stock scrapy-redis goes on here: nothing is lost or fetched again, and no pickle runs code."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from scrapy import Request
from scrapy.http import FormRequest, JsonRequest
from scrapy_redis.dupefilter import RFPDupeFilter

from crawlers.frontier import connect, decode
from crawlers.frontier.operations import BadRequest
from crawlers.migration import RefusedPickle, ScrapyRedisFingerprinter, StockCrawl, open_pickle, queued_of
from deploy.local.practice_site import PracticeSite
from tests.helpers import ROOT, run_spider, start_spider, wait_until

PAGES = 999  # of the practice site's graph, besides the start page
_MOST_BYTES = 10_000

_STOCK = {
    "SCHEDULER": "scrapy_redis.scheduler.Scheduler",
    "DUPEFILTER_CLASS": "scrapy_redis.dupefilter.RFPDupeFilter",
    "DOWNLOADER": "scrapy.core.downloader.Downloader",
    "SPIDER_MIDDLEWARES": "{}",
    "SCHEDULER_PERSIST": True,
}
_OURS = {"REQUEST_FINGERPRINTER_CLASS": "crawlers.migration.ScrapyRedisFingerprinter"}


def frontier(redis_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`scrapy frontier ARGUMENTS` from start to end."""
    command = [sys.executable, "-m", "scrapy", "frontier", *arguments]
    env = {**os.environ, "REDIS_URL": redis_url}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def options(redis_url: str, practice_site: PracticeSite, tmp_path: Path, crawl_name: str) -> dict[str, Any]:
    """What both kinds of workers need; each writes the pages it parsed to a feed of its own."""
    feed = str(tmp_path / "items-%(time)s-%(batch_id)d.jsonl")
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name, "url": f"{practice_site.url.rstrip('/')}/graph/0"},
        "settings": {
            "SPIDER_MODULES": "tests.integration.spiders",
            "FEEDS": json.dumps({feed: {"format": "jsonlines", "batch_item_count": 10**9}}),
            "SCHEDULER_QUEUE_KEY": f"{crawl_name}:requests",
            "SCHEDULER_DUPEFILTER_KEY": f"{crawl_name}:dupefilter",
        },
        "env": {"REDIS_URL": redis_url},
    }


def parsed(folder: Path) -> Counter[str]:
    """The pages that were parsed by all workers, and how often each, but for the start page."""
    lines = "".join(feed.read_text() for feed in folder.glob("items-*.jsonl")).splitlines()
    urls = (json.loads(line)["url"] for line in lines)
    return Counter(url for url in urls if not url.endswith("/graph/0"))


def crawl_a_part(options: dict[str, Any], client: redis.Redis, crawl: str, **settings: object) -> int:
    """A stock crawl, interrupted in the middle. Returns how many pages it has parsed."""
    stock = {**options, "settings": {**options["settings"], **_STOCK, "CONCURRENT_REQUESTS": 4, **settings}}
    with start_spider("graph", **stock) as worker:
        wait_until(lambda: client.scard(f"{crawl}:dupefilter") >= 400)
        worker.interrupt()
        assert worker.end().reason == "shutdown"
    return len(parsed(options["folder"]))


@pytest.mark.parametrize(
    "queue",
    ["scrapy_redis.queue.PriorityQueue", "scrapy_redis.queue.FifoQueue", "scrapy_redis.queue.LifoQueue"],
)
def test_an_interrupted_stock_crawl_is_finished_here_and_no_page_is_fetched_again(
    options: dict[str, Any], redis_url: str, redis_client: redis.Redis, crawl_name: str, queue: str
) -> None:
    # Given a crawl of stock scrapy-redis, interrupted in the middle
    before = crawl_a_part(options, redis_client, crawl_name, SCHEDULER_QUEUE_CLASS=queue)
    assert 0 < before < PAGES
    # When it is imported
    keys = ["--requests-key", f"{crawl_name}:requests", "--dupefilter-key", f"{crawl_name}:dupefilter"]
    settings = ["-s", f"SCHEDULER_QUEUE_CLASS={queue}"]
    imported = frontier(
        redis_url, "import", "--from-scrapy-redis", "graph", "--crawl", crawl_name, *keys, *settings
    )
    # Then the command says what it did and which setting is needed
    assert imported.returncode == 0, imported.stderr
    assert "REQUEST_FINGERPRINTER_CLASS=crawlers.migration.ScrapyRedisFingerprinter" in imported.stdout
    assert redis_client.exists(f"{crawl_name}:requests") == 0
    # And our workers finish it: every page was parsed once, by the one or the other
    ours = {**options, "settings": {**options["settings"], **_OURS}}
    assert run_spider("graph", **ours).reason == "finished"
    pages = parsed(options["folder"])
    assert len(pages) == PAGES
    assert set(pages.values()) == {1}


def test_a_worker_that_tells_urls_apart_otherwise_refuses_to_go_on_with_an_imported_crawl(
    options: dict[str, Any], redis_url: str, redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given an imported crawl
    redis_client.sadd(f"{crawl_name}:dupefilter", "0" * 40)
    imported = frontier(redis_url, "import", "--from-scrapy-redis", crawl_name)
    assert imported.returncode == 0, imported.stderr
    # When a worker starts without the setting
    ended = run_spider("graph", **options)
    # Then it says what is missing, and the crawl is as it was
    assert "set REQUEST_FINGERPRINTER_CLASS to crawlers.migration.ScrapyRedisFingerprinter" in ended.log
    assert redis_client.exists(f"{{{crawl_name}}}:workers") == 0


class _Exploit:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.file), "w"))


def test_a_hostile_payload_is_refused_reported_and_left_in_place(
    redis_url: str, redis_client: redis.Redis, crawl_name: str, tmp_path: Path
) -> None:
    # Given a stock queue with a good request and two that would run code
    good = pickle.dumps(Request("http://a.example/", priority=3).to_dict(), -1)
    file = tmp_path / "exploited"
    bad = [
        pickle.dumps({"url": "http://b.example/", "meta": {"n": n, "x": _Exploit(file)}}, -1) for n in (1, 2)
    ]
    redis_client.zadd(f"{crawl_name}:requests", {bad[0]: -9, good: -3, bad[1]: 0})
    # When it is imported
    imported = frontier(redis_url, "import", "--from-scrapy-redis", crawl_name)
    # Then the good one is queued, and the others are counted, left and not run
    assert imported.returncode == 1
    assert "Moved 1 request " in imported.stdout
    assert "Refused 2 payloads, left in place: it holds more than data: the opcode" in imported.stderr
    assert redis_client.zrange(f"{crawl_name}:requests", 0, -1) == bad
    assert not file.exists()


def test_a_key_that_is_no_queue_of_scrapy_redis_is_left_alone(
    redis_url: str, redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a key that holds something else
    redis_client.set(f"{crawl_name}:requests", "?")
    # When it is imported
    imported = frontier(redis_url, "import", "--from-scrapy-redis", crawl_name)
    # Then one sentence says so
    assert imported.returncode == 2
    assert imported.stderr.splitlines() == [
        f"scrapy frontier: the key '{crawl_name}:requests' holds a string, which can't be scrapy-redis'"
        " requests"
    ]


def test_a_list_that_an_old_worker_changes_amid_the_import_loses_nothing(
    redis_url: str, redis_client: redis.Redis, crawl_name: str
) -> None:
    # Given a stock queue, and one of its workers that takes from it while a part is being imported
    key = f"{crawl_name}:requests"
    redis_client.rpush(key, *(str(n) for n in range(500)))

    async def take(_some: Sequence[tuple[bytes, int | None]]) -> list[bytes]:
        redis_client.lpop(key)
        return []

    async def move() -> None:
        async with connect({"REDIS_URL": redis_url}) as client:
            stock = StockCrawl(client, key, "", newest_first=False, max_bytes=_MOST_BYTES)
            await stock._empty_list(take)

    # When it is imported
    # Then that stops with a sentence, and the queue holds what it held
    with pytest.raises(BadRequest, match="stop the old crawl's workers first"):
        asyncio.run(move())
    assert redis_client.llen(key) == 499


def nested(levels: int) -> list[Any]:
    """Ten references to ten references to ...: a short pickle that stands for very much."""
    value: list[Any] = ["x"]
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    "pickled",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # GLOBAL and REDUCE of protocol 0
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",  # STACK_GLOBAL
        b"(S'true'\nios\nsystem\n.",  # INST
        b"\x80\x04}\x8c\x01a\x8c\x01bsb.",  # BUILD
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x04Pid\n.",  # PERSID
        b"\x80\x04]r\xff\xff\xff\xff.",  # LONG_BINPUT: reserves 64 GB
        b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",  # BYTEARRAY8: reserves a terabyte
        b"\x80\x04B\xff\xff\xff\x7f.",  # BINBYTES, longer than what there is
        b"\x80\x04\x8b\xff\xff\xff\x7f.",  # LONG4
        pickle.dumps(nested(12), 4),
        pickle.dumps(Path("/")),
        pickle.dumps({1: Request}, 5),
        b"",
        b"\x80\x04.",
        b"\x80\x04]]s.",
        b"not a pickle",
        bytes(range(50)),
    ],
)
def test_no_pickle_is_opened_that_is_more_than_plain_data(pickled: bytes) -> None:
    # Given a pickle that names, calls, builds, reserves or stands for more than it holds, or is none
    # When it is opened
    # Then it is refused
    with pytest.raises(RefusedPickle):
        open_pickle(pickled)


def test_requests_of_scrapys_own_classes_arrive_as_they_were() -> None:
    # Given requests as scrapy-redis pickles them
    meta = {"depth": 2, "t": (1, {2}), "big": 2**70, "f": 1.5, "download_slot": "x"}
    plain = Request(
        "http://a.example/?q=1", headers={"A": ["1", "2"]}, cookies={"c": "v"}, meta=meta, priority=4
    )
    form = FormRequest("http://a.example/f", formdata={"a": "b"}, dont_filter=True)
    data = JsonRequest("http://a.example/j", data={"a": 1})
    # When they are made into ours
    queued = [queued_of(pickle.dumps(r.to_dict(), -1), _MOST_BYTES, None) for r in (plain, form, data)]
    links = [decode(request.payload) for request in queued]
    # Then nothing is missing, but for the slot of another host
    assert [request.host for request in queued] == ["a.example"] * 3
    assert queued[0].priority == 4
    assert links[0].meta == {name: value for name, value in meta.items() if name != "download_slot"}
    assert (links[0].headers, links[0].cookies) == ({b"A": [b"1", b"2"]}, {"c": "v"})
    assert (links[1].kind, links[1].body, links[1].dont_filter) == ("FormRequest", b"a=b", True)
    assert (links[2].kind, links[2].extra) == ("JsonRequest", {"dumps_kwargs": {"sort_keys": True}})


@pytest.mark.parametrize(
    "request_",
    [
        {"url": "http://a.example/", "_class": "os.system"},
        {"url": "http://a.example/", "meta": [1]},
        {"url": "http://a.example/", "callback": 5},
        {"url": "http://a.example/", "priority": "high"},
        {"url": "http://a.example/", "body": b"x" * _MOST_BYTES},
        {"url": "no host"},
        {"url": 5},
        ["http://a.example/"],
    ],
)
def test_plain_data_that_is_no_request_is_refused(request_: Any) -> None:
    # Given plain data
    # When a request is to be made of it
    # Then it is refused
    with pytest.raises(RefusedPickle):
        queued_of(pickle.dumps(request_, -1), _MOST_BYTES, None)


@pytest.mark.parametrize(
    "request_",
    [
        Request("http://a.example/?b=2&a=1#part"),
        Request("http://a.example/", method="POST", body=b"\xff"),
        Request("http://b\u00fccher.example/\u00e4?\u00f6=\u00fc"),
    ],
)
def test_the_fingerprint_is_that_of_scrapy_redis(request_: Request) -> None:
    # Given a request
    # When both make a fingerprint
    stock = RFPDupeFilter(None, "").request_fingerprint(request_)
    # Then they agree
    assert ScrapyRedisFingerprinter().fingerprint(request_).hex() == stock
