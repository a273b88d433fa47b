"""Both spiders crawl real sites in Scrapy as it comes: its own scheduler, no Redis, no MongoDB; of this
project only the middleware that makes requests of Links.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.local.practice_site import PracticeSite, graph_links
from deploy.local.site_traps import FORBIDDEN, LEAVES
from tests.helpers import ROOT, Ended, run_spider

PLAIN_SCRAPY = """
SPIDER_MODULES = ["crawlers.spiders"]
SPIDER_MIDDLEWARES = {"crawlers.scheduler.LinkSieve": 2000}
ROBOTSTXT_OBEY = True
TELNETCONSOLE_ENABLED = False
DOWNLOAD_DELAY = 0
CONCURRENT_REQUESTS_PER_DOMAIN = 8
DOWNLOAD_TIMEOUT = 10
LOG_LEVEL = "INFO"
"""


@dataclass
class Crawled:
    """A spider's run and the items it exported."""

    ended: Ended
    items: list[dict[str, Any]]

    def pages(self) -> dict[str, dict[str, Any]]:
        """The items by the path of their URL."""
        return {"/" + item["url"].split("/", 3)[3]: item for item in self.items}


def crawl(spider: str, folder: Path, **arguments: object) -> Crawled:
    """Run a spider as `scrapy crawl SPIDER -O items.json`, but with the settings above."""
    (folder / "plain_scrapy.py").write_text(PLAIN_SCRAPY)
    feed = folder / "items.json"
    feeds = json.dumps({str(feed): {"format": "json", "overwrite": True}})
    ended = run_spider(
        spider,
        folder,
        arguments=arguments,
        settings={"FEEDS": feeds},
        env={"SCRAPY_SETTINGS_MODULE": "plain_scrapy", "PYTHONPATH": f"{folder}:{ROOT}"},
        cwd=folder,
    )
    written = feed.read_text() if feed.exists() else ""
    return Crawled(ended, json.loads(written) if written else [])


@dataclass
class Site:
    """A small server: `pages` maps a path to status, headers and body; `asked` is what came."""

    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def page(self, path: str, body: str | bytes, **headers: str) -> None:
        """Serve an HTML page."""
        content = body if isinstance(body, bytes) else body.encode()
        self.pages[path] = (200, {"Content-Type": "text/html; charset=utf-8", **headers}, content)


@pytest.fixture
def site() -> Iterator[Site]:
    """A site of this test's own, on the same port of 127.0.0.1 and of 127.0.0.2."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, dict(self.headers)))
            status, headers, body = site.pages.get(self.path, (404, {}, b"nothing here"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ExitStack() as stack:
        one = stack.enter_context(serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)))
        site.url = f"http://127.0.0.1:{one.server_port}"
        other = ThreadingHTTPServer(("127.0.0.2", one.server_port), Handler)
        stack.enter_context(serving(other))
        yield site


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    """Answer requests for the while."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_quotes_spider_finds_every_quote_of_a_site(practice_site: PracticeSite, tmp_path: Path) -> None:
    crawled = crawl("quotes", tmp_path, url=practice_site.url)
    assert crawled.ended.status == 0
    assert len({(item["text"], item["author"]) for item in crawled.items}) == 100
    assert set(crawled.items[0]) == {"text", "author", "tags", "url"}
    assert "ERROR" not in crawled.ended.log


def test_the_pages_spider_finds_every_page_of_a_graph(practice_site: PracticeSite, tmp_path: Path) -> None:
    # When the graph is crawled from its entrance
    crawled = crawl("pages", tmp_path, url=f"{practice_site.url}graph/", allow="/graph/")

    # Then each page is there once, with its links counted
    pages = crawled.pages()
    assert Counter(item["url"] for item in crawled.items).most_common(1)[0][1] == 1
    assert {path for path in pages if path != "/graph/"} == {f"/graph/{n}" for n in range(1000)}
    assert pages["/graph/7"]["links"] >= len(set(graph_links(7, 1000)))
    assert all(item["status"] == 200 for item in crawled.items)


def test_the_pages_spider_gets_past_every_trap(practice_site: PracticeSite, tmp_path: Path) -> None:
    # When everything below /traps/ is crawled
    crawled = crawl("pages", tmp_path, url=f"{practice_site.url}traps/", allow="/traps/")

    # Then every leaf was reached, and what robots.txt forbids was not asked for
    pages = crawled.pages()
    leaves = {
        item["url"].split("/leaf/")[1].partition("?")[0] for item in crawled.items if "/leaf/" in item["url"]
    }
    quoted = {"leaf%20with%20space", "unicode-%C5%BC%C3%B3%C5%82%C4%87"}
    plain = {leaf for leaf in LEAVES if leaf.isascii() and " " not in leaf}
    assert leaves == plain | quoted
    assert FORBIDDEN not in pages

    # And each page was described as what it is, and no callback failed
    assert pages["/traps/404"]["status"] == 404
    assert pages["/traps/pdf"]["content_type"] == "application/pdf"
    assert pages["/traps/pdf"]["title"] is None
    assert pages["/traps/no-type"]["content_type"] is None
    assert pages["/traps/latin-1"]["text_length"] > 10
    assert "spider_exceptions" not in crawled.ended.log


def test_a_link_on_a_utf_16_page_is_fetched_with_a_referer_that_servers_understand(
    site: Site, tmp_path: Path
) -> None:
    utf_16 = '<a href="/next?q=ü">x</a>'.encode("utf-16")
    site.page("/", utf_16, **{"Content-Type": "text/html; charset=utf-16"})
    site.page("/next?q=%C3%BC", "<title>here</title>")
    crawled = crawl("pages", tmp_path, url=f"{site.url}/")
    assert crawled.pages()["/next?q=%C3%BC"]["referrer"] == f"{site.url}/"
    assert dict(site.asked)["/next?q=%C3%BC"]["Referer"] == f"{site.url}/"


def test_other_hosts_and_ports_are_left_alone_and_error_pages_are_kept(site: Site, tmp_path: Path) -> None:
    # Given a page that links to other hosts and ports, and to pages that are not there
    elsewhere = site.url.replace("127.0.0.1", "127.0.0.2")
    site.page("/", f"<a href='{elsewhere}/no'><a href=http://127.0.0.1:1/><a href=/gone><a href=/b>")
    site.pages["/b"] = (500, {"Content-Type": "text/html"}, b"<a href=/unseen>x</a>")

    # When it is crawled
    crawled = crawl("pages", tmp_path, url=f"{site.url}/")

    # Then the error pages are kept, their links are not followed, the hosts were not asked
    pages = crawled.pages()
    assert {path: page["status"] for path, page in pages.items()} == {
        "/": 200,
        "/gone": 404,
        "/b": 500,
    }
    assert not {"/no", "/unseen"} & {path for path, _ in site.asked}


def test_a_redirect_is_kept_under_its_final_url_and_not_followed_to_another_host(
    site: Site, tmp_path: Path
) -> None:
    elsewhere = site.url.replace("127.0.0.1", "127.0.0.2")
    site.page("/", "<a href=/away><a href=/moved>")
    site.pages["/away"] = (302, {"Location": f"{elsewhere}/there"}, b"")
    site.page("/there", "<a href=/unseen>x</a>")
    site.pages["/moved"] = (301, {"Location": "/here"}, b"")
    site.page("/here", "<a href=/end>x</a>")
    site.page("/end", "end")
    crawled = crawl("pages", tmp_path, url=f"{site.url}/")
    assert {item["url"] for item in crawled.items} == {
        f"{site.url}/",
        f"{elsewhere}/there",
        f"{site.url}/here",
        f"{site.url}/end",
    }


def test_depth_is_counted_from_each_of_several_starts(site: Site, tmp_path: Path) -> None:
    for name in "abcd":
        site.page(f"/{name}", f"<a href=/{name}{name}>x</a>")
        site.page(f"/{name}{name}", f"<a href=/{name}{name}{name}>x</a>")
    crawled = crawl("pages", tmp_path, url=f"{site.url}/a,{site.url}/b {site.url}/c", depth=1)
    depths = {path: page["depth"] for path, page in crawled.pages().items()}
    assert depths == {"/a": 0, "/aa": 1, "/b": 0, "/bb": 1, "/c": 0, "/cc": 1}


@pytest.mark.parametrize(
    ("spider", "arguments", "sentence"),
    [
        ("pages", {"url": "example.com"}, "-a url=example.com: write it out"),
        ("pages", {"allow": "("}, "-a allow=(: not a regular expression"),
        ("pages", {"depth": "deep"}, "-a depth=deep: it must be a whole number, 0 or more"),
        ("quotes", {"url": "example.com"}, "-a url=example.com: write it out"),
    ],
)
def test_a_bad_argument_ends_a_spider_with_one_sentence_and_a_failing_status(
    spider: str, arguments: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    ended = crawl(spider, tmp_path, **arguments).ended
    assert ended.status == 1
    (line,) = [line for line in ended.log.splitlines() if "CRITICAL" in line]
    assert sentence in line
    assert "Traceback" not in ended.log
