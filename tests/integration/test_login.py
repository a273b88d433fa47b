"""Behind a login all workers of a crawl are logged in, as one process of Scrapy's is."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import RunningSpider, start_spider, wait_until

PAGES = 60
_PAGE_S = 0.05


class _Members(BaseHTTPRequestHandler):
    """A login that sets a session, and pages that say whose it is; each page renews it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        links = "".join(f'<a href="/{number}">{number}</a>' for number in range(PAGES))
        self._answer(f"<html>{links}</html>", "session=me; Path=/")

    def do_GET(self) -> None:
        time.sleep(_PAGE_S)
        is_member = "session=me" in self.headers.get("Cookie", "")
        self.server.asked.append(self.headers["User-Agent"])  # type: ignore[attr-defined]
        self._answer("me" if is_member else "nobody", f"last={self.path[1:]}; Path=/")

    def _answer(self, body: str, cookie: str) -> None:
        self.send_response(404 if self.path == "/robots.txt" else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Set-Cookie", cookie)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def site() -> Iterator[Any]:
    """A site with a login."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Members) as server:
        server.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("workers", [1, 3])
def test_every_page_behind_a_login_is_fetched_logged_in(
    workers: int, site: Any, redis_url: str, crawl_name: str, tmp_path: Path
) -> None:
    # Given a site with a login, and workers of which one is killed amid the crawl
    def worker(stack: ExitStack, number: int) -> RunningSpider:
        settings = {
            "SPIDER_MODULES": "tests.integration.spiders",
            "ITEM_PIPELINES": "{}",
            "USER_AGENT": f"worker-{number}",
            "CONCURRENT_REQUESTS_PER_DOMAIN": 6,
            "FRONTIER_LEASE_TTL_S": 1,
            "FEEDS": json.dumps({str(tmp_path / f"{number}.jsonl"): {"format": "jsonlines"}}),
        }
        arguments = {"url": f"http://127.0.0.1:{site.server_port}/", "crawl": crawl_name}
        return stack.enter_context(
            start_spider(
                "members", tmp_path, arguments=arguments, settings=settings, env={"REDIS_URL": redis_url}
            )
        )

    with ExitStack() as stack:
        # When they crawl it
        fleet = [worker(stack, number) for number in range(workers)]
        if workers > 1:
            wait_until(lambda: len(set(site.asked)) == workers and len(site.asked) > workers + 5)
            fleet.pop().kill()
        ended = [one.end() for one in fleet]

    # Then no page was fetched logged out
    assert [one.status for one in ended] == [0] * len(fleet)
    lines = [line for feed in tmp_path.glob("*.jsonl") for line in feed.read_text().splitlines()]
    items = [json.loads(line) for line in lines]
    assert {item["who"] for item in items} == {"me"}
    # And all were fetched, but for those that the killed worker could no longer write down
    assert len({item["url"] for item in items}) == PAGES or workers > 1
