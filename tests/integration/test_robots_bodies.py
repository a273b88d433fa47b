"""A robots.txt counts as far as it can be read; one that can't be makes its host wait, and says so."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from benchmarks.answers import CHUNKED, answer, coded
from deploy.local.raw_site import Answer, RawSite, plain, raw_site
from tests.helpers import Ended, run_spider

MOST = 500 * 1024
RULES = b"User-agent: *\nDisallow: /private\n"
COMMENT = b"# " + b"x" * 97 + b"\n"


def _cut_in_a_rule() -> bytes:
    """The byte at which reading ends is behind the first slash of the last rule."""
    begin, last = RULES, b"Disallow: /"
    comment = b"#" + b"x" * (MOST - len(begin) - len(last) - 2) + b"\n"
    return begin + comment + last + b"private/area/\n"


def _forever(first: bytes) -> Answer:
    return Answer(lambda: itertools.chain([first], itertools.repeat(COMMENT * 100)))


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
# By host: what its robots.txt is, all of which forbid /private and allow the rest.
READABLE = {
    "127.0.1.1": answer(_cut_in_a_rule()),
    "127.0.1.2": _forever(OK + b"\r\n" + RULES),
    "127.0.1.3": _forever(OK + b"Content-Length: 9999999999999\r\n\r\n" + RULES),
    "127.0.1.4": coded(gzip.compress(RULES + COMMENT * 600_000), "gzip"),
    "127.0.1.5": answer(b"\xff\xfe\x80 caf\xe9\n" + RULES),
    "127.0.1.6": answer("\ufeff".encode("utf-16-le") + RULES.decode().encode("utf-16-le")),
    "127.0.1.7": answer(RULES.replace(b"\n", b"\r") + b"Disallow: /caf\xe9"),
    "127.0.1.8": answer(b"\xef\xbb\xbf" + RULES),
}
# By host: one that can't be read, and the words by which it is spoken of.
UNREADABLE = {
    "127.0.2.1": (coded(RULES, "gzip"), "decoded: gzip"),
    "127.0.2.2": (coded(gzip.compress(RULES)[:-12], "gzip"), "ends too early"),
    "127.0.2.3": (answer(RULES, length=1000, close=True), "ResponseDataLossError"),
    "127.0.2.4": (Answer(lambda: itertools.chain([OK], itertools.repeat(b"a:b\r\n"))), "DOWNLOAD_MAX_HEADER"),
    "127.0.2.5": (Answer(lambda: [CHUNKED, b"20\r\nUser-agent"]), "ResponseDataLossError"),
}
PAGES = ("/", "/private", "/public")


@pytest.fixture(scope="module")
def sites() -> Iterator[dict[str, RawSite]]:
    """One for each host, all of them with three pages."""
    robots = READABLE | {host: answer for host, (answer, _) in UNREADABLE.items()}
    pages = {path: plain(b"<p>page</p>") for path in PAGES}
    with ExitStack() as open_:
        yield {
            host: open_.enter_context(raw_site(pages | {"/robots.txt": each}, host))
            for host, each in robots.items()
        }


@pytest.mark.parametrize("fast", [False, True])
def test_a_robots_txt_counts_as_far_as_it_can_be_read(
    fast: bool,
    sites: dict[str, RawSite],
    redis_url: str,
    redis_client: redis.Redis,
    crawl_name: str,
    tmp_path: Path,
) -> None:
    # Given hosts with robots.txt of all kinds
    for site in sites.values():
        site.asked.clear()
    # When they are crawled
    began_s = time.monotonic()
    ended = _crawl(sites, redis_url, crawl_name, tmp_path, fast=fast)
    # Then those that can be read were obeyed as far as they were
    assert ended.status == 0, ended.log
    for host in READABLE:
        assert {path for path in PAGES if sites[host].asked[path]} == {"/", "/public"}, host
    # And of the others no page was asked for; each is a dead letter that names robots.txt and what is wrong
    letters = [fields for _, fields in redis_client.xrange(f"{{{crawl_name}}}:dead")]
    for host, (_, words) in UNREADABLE.items():
        assert not any(sites[host].asked[path] for path in PAGES), host
        reasons = [each[b"reason"].decode() for each in letters if host.encode() in each[b"payload"]]
        assert len(reasons) == len(PAGES), (host, reasons)
        assert all("robots.txt" in reason and words in reason for reason in reasons), reasons
    assert len(letters) == len(PAGES) * len(UNREADABLE)
    assert time.monotonic() - began_s < 30


def _crawl(sites: dict[str, RawSite], redis_url: str, crawl: str, folder: Path, *, fast: bool) -> Ended:
    told = [{"url": f"{site.url}{path[1:]}"} for site in sites.values() for path in PAGES]
    (folder / "told.json").write_text(json.dumps(told))
    return run_spider(
        "fetched",
        folder,
        arguments={"crawl": crawl, "told": folder / "told.json"},
        settings={
            "SPIDER_MODULES": "tests.integration.spiders",
            "ROBOTSTXT_OBEY": True,
            "FAST_PROFILE": fast,
            "FRONTIER_HOST_STRIKES": 2,
            "FRONTIER_HOST_REST_S": 0.2,
            "FRONTIER_HOST_RESTS": 1,
        },
        env={"REDIS_URL": redis_url},
    )
