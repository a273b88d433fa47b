"""One bad URL in a site's template, which browsers ignore, costs the site no page."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import redis

from tests.helpers import run_spider
from tests.integration.odd_site import Reply, odd_site

BASES = [
    *("", "http://[bad/", "http://host:99999/", "http://host:port/", "javascript:x", "data:,x"),
    *("http://\u2100/", "mailto:a@b.example", "//"),
]
REFRESHES = [
    *("", "0;url=javascript:go()", "0;url=http://[bad/", "0; url=http://h:99999/", "0;url=data:,x", "x"),
    *("0;url=http://\u2100/", "9" * 5000 + ";url=/no", ";url=/no", "0;url=mailto:a@b.example"),
]
CHARSETS = [
    *("utf-8", "base64", "hex", "rot13", "idna", "punycode", "undefined", "unicode_escape", "x-none"),
    *("zip", "\x01"),
]
LINKS = "".join(
    f'<a href="{href}">x</a>'
    for href in ("http://[bad/", "javascript:x", "mailto:a@b", "http://h:99999/", "http://\u2100/", "tel:1")
)
TRAPS = [
    *itertools.product(BASES, REFRESHES, ["utf-8"]),
    *itertools.product(BASES[1:2], REFRESHES[1:2], CHARSETS),
]
LOCATIONS = ["http://[bad/", "http://h:99999/", "javascript:x", "http://\u2100/", "http://h:port/x"]
PAGES = len(TRAPS)


def answer(target: str, cookie: str, before: int) -> Reply:  # noqa: ARG001
    """Page N leads to N + 1, each of another kind; what is below /to redirects to nothing."""
    kind, _, number = target.removeprefix("/").partition("/")
    if kind == "to":
        return 302, [("Location", LOCATIONS[int(number)])], b"<title>\xc3\xa9</title>"
    if not number.isdecimal() or int(number) >= PAGES:
        return 404, [], b""
    base, refresh, charset = TRAPS[int(number)]
    tos = "".join(f'<a href="/to/{i}">x</a>' for i in range(len(LOCATIONS)))
    body = (
        f'<base href="{base}"><meta http-equiv=refresh content="{refresh}"><meta charset="{charset}">'
        f'<title>\u00e9</title>{LINKS}{tos}<a class=next href="/page/{int(number) + 1}">x</a>'
    )
    header = f"text/html; charset={charset}" if int(number) % 2 else "text/html"
    return 200, [("Content-Type", header)], body.encode()


@pytest.mark.parametrize("spider", ["pages", "extracted"])
def test_a_site_with_every_trap_in_its_template_is_crawled_whole(
    spider: str, redis_url: str, redis_client: redis.Redis, crawl_name: str, tmp_path: Path
) -> None:
    # Given a site whose pages have all that browsers ignore
    feed = tmp_path / "items.json"
    with odd_site(answer) as site:
        # When a spider crawls it
        ended = run_spider(
            spider,
            tmp_path,
            arguments={"crawl": crawl_name, "url": f"{site.url}/page/0"},
            settings={
                "ITEM_PIPELINES": "{}",
                "FEEDS": json.dumps({str(feed): {"format": "json"}}),
                "SPIDER_MODULES": "crawlers.spiders,tests.integration.spiders",
            },
            env={"REDIS_URL": redis_url},
        )

    # Then each page is stored once and rightly decoded, and so is what leads nowhere if the spider takes it
    assert "Spider closed (finished)" in ended.log
    items = json.loads(feed.read_text())
    pages = {f"{site.url}/page/{number}" for number in range(PAGES)}
    nowhere = {f"{site.url}/to/{number}" for number in range(len(LOCATIONS))}
    wanted = pages | nowhere | {f"{site.url}/page/{PAGES}"} if spider == "pages" else pages
    assert sorted(item["url"] for item in items) == sorted(wanted)
    assert {item["title"] for item in items if item["url"] in pages} == {"\u00e9"}
    # And there is no dead letter
    assert redis_client.xlen(f"{{{crawl_name}}}:dead") == 0, ended.log
