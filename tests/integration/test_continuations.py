"""A page that redirects or refreshes ends as a document or as a dead letter with a reason, never silently."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from tests.helpers import run_spider
from tests.integration.odd_site import Reply, odd_site

COOKIE = ("Set-Cookie", "been=here; Path=/")
END = b"<title>the page</title>"

# Where the index leads, and what must become of it: the title it is stored with, or its dead letter's reason.
CASES = {
    # a page that shows itself again and again is a page
    "/refresh-60": "stale",
    "/refresh-bare": "stale",
    "/refresh-0": "stale",
    "/refresh-order?b=1&a=2": "stale",
    # one that is only there with a cookie, or the second time
    "/refresh-cookie": "the page",
    "/refresh-once": "the page",
    "/redirect-cookie": "the page",
    "/redirect-twice": "the page",
    "/redirect-order?b=1&a=2": "the page",
    "/redirect-fragment": "the page",
    "/redirect-307": "the page",
    "/walk": "the page",
    "/error-first": "the page",
    # without an end
    "/ever": "leads to itself 6 times",
    "/cookie-ever": "leads to itself 6 times",
    "/empty-location": "leads to itself 6 times",
    "/round": "leads to itself 6 times",
    "/endless/0": "max redirections reached",
    "/refresh-endless/0": "max redirections reached",
    # the page of another link: rightly dropped
    "/to-leaf": "",
    "/leaf": "the page",
}


def to(location: str, status: int = 302, *headers: tuple[str, str]) -> Reply:
    return status, [("Location", location), *headers], b""


def refresh(content: str, *headers: tuple[str, str]) -> Reply:
    return 200, list(headers), f'<title>stale</title><meta http-equiv="refresh" content="{content}">'.encode()


def answer(target: str, cookie: str, before: int) -> Reply:
    """What the site says."""
    parts = urlsplit(target)
    path, page = parts.path, (200, [], END)
    number = int(path.rpartition("/")[2]) if path.rpartition("/")[2].isdecimal() else 0
    replies = {
        "/": (200, [], "".join(f'<a href="{case}">x</a>' for case in CASES).encode()),
        "/refresh-60": refresh("60; URL=/refresh-60"),
        "/refresh-bare": refresh("5"),
        "/refresh-0": refresh("0;/refresh-0"),
        "/refresh-order": refresh("30;url=?a=2&b=1"),
        "/refresh-cookie": page if cookie else refresh("1; url=refresh-cookie", COOKIE),
        "/refresh-once": page if before else refresh("0; url='/refresh-once'"),
        "/redirect-cookie": page if cookie else to("/redirect-cookie", 302, COOKIE),
        "/redirect-twice": page if before == 2 else to("/redirect-twice"),
        "/redirect-order": page if parts.query.startswith("a") else to("?a=2&b=1"),
        "/redirect-fragment": page if before else to("/redirect-fragment#part", 301),
        "/redirect-307": page if before else to("/redirect-307", 307),
        "/walk": page if "been" in cookie else to("/walk/check"),
        "/walk/check": to("/walk", 303, COOKIE),
        "/error-first": (500, [], b"") if not before else page if before > 1 else to("/error-first"),
        "/ever": to("/ever"),
        "/cookie-ever": to("/cookie-ever", 302, COOKIE),
        "/empty-location": to(""),
        "/round": to("/round/b"),
        "/round/b": to("/round"),
        "/to-leaf": to("/leaf"),
        "/leaf": page,
    }
    if "endless" in path:
        replies[path] = to(str(number + 1)) if "refresh" not in path else refresh(f"0;url={number + 1}")
    return replies.get(path, (404, [], b""))


@pytest.mark.parametrize("lean", [True, False], ids=["lean", "all of Scrapy's steps"])
def test_a_page_that_leads_to_itself_is_a_document_or_a_dead_letter(
    lean: bool, redis_url: str, redis_client: redis.Redis, crawl_name: str, tmp_path: Path
) -> None:
    # Given a site whose pages redirect and refresh to themselves in all ways
    feed = tmp_path / "items.json"
    with odd_site(answer) as site:
        # When it is crawled
        ended = run_spider(
            "pages",
            tmp_path,
            arguments={"crawl": crawl_name, "url": site.url},
            settings={
                "ITEM_PIPELINES": "{}",
                "FEEDS": json.dumps({str(feed): {"format": "json"}}),
                "FRONTIER_LEAN": lean,
            },
            env={"REDIS_URL": redis_url},
        )

    # Then each of them is a document or a dead letter with the reason, and none is both or there twice
    assert "Spider closed (finished)" in ended.log
    stored = {item["url"]: item["title"] for item in json.loads(feed.read_text())}
    assert len(stored) == len(json.loads(feed.read_text()))
    letters = [fields for _, fields in redis_client.xrange(f"{{{crawl_name}}}:dead")]
    for case, outcome in CASES.items():
        path = urlsplit(case).path.removesuffix("/0")
        titles = [title for url, title in stored.items() if urlsplit(url).path.startswith(path)]
        reasons = [
            letter[b"reason"].decode()
            for letter in letters
            if f"{site.url}{path}".encode() in letter[b"payload"]
        ]
        told = titles + reasons
        assert len(told) == bool(outcome), (case, told)
        assert not outcome or outcome in told[0], (case, told)
    # And what shows itself again is not asked for more often than needed
    assert site.asked["/refresh-60"] == site.asked["/refresh-bare"] == site.asked["/leaf"] == 1
    assert site.asked["/refresh-0"] == 2
    assert site.asked["/ever"] == 6
