"""A folder of real pages served on loopback, and what a complete crawl of it must find.

The expectation is worked out from the files with the standard library alone: neither Scrapy nor any
code of the project has a hand in it.
"""

from __future__ import annotations

import mimetypes
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

Page = tuple[str, tuple[tuple[str, str], ...]]
"""What makes two URLs of the site the same page: the decoded path and the sorted query."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request: when it arrived by `time.perf_counter`, what it asked for, its User-Agent."""

    at_s: float
    page: Page
    agent: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the site answers to a path: a file, the path it redirects to, or neither (404)."""

    file: Path | None = None
    moved_to: str | None = None

    @property
    def content_type(self) -> str:
        """The Content-Type by the file's name; `text/html` for the page that says 404."""
        if self.file is None:
            return "text/html; charset=utf-8"
        kind, encoding = mimetypes.guess_type(self.file.name)
        if encoding:
            return f"application/{encoding}"
        if kind is None:
            return "application/octet-stream"
        return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def page_of(url: str) -> Page:
    """The page a URL names; its host and fragment don't count."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    return unquote(parts.path) or "/", tuple(sorted(query))


def answer(root: Path, path: str) -> Answer:
    """What the site under `root` answers to a decoded path, as a plain static web server would."""
    if "\0" in path or ".." in path.split("/"):
        return Answer()
    file = root / path.lstrip("/")
    if file.is_dir():
        if not path.endswith("/"):
            return Answer(moved_to=quote(path) + "/")
        file = file / "index.html"
    return Answer(file=file) if file.is_file() else Answer()


class _Links(HTMLParser):
    """Gathers where `<a href>` and `<area href>` lead, and the page's `<base href>`."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link or the first base."""
        href = dict(attrs).get("href")
        if href is None:
            return
        if tag in ("a", "area"):
            self.found.append(href.strip())
        elif tag == "base" and not self.base:
            self.base = href.strip()


def links_of(url: str, html: bytes) -> Iterator[str]:
    """The absolute URLs that a page's links lead to on its own host."""
    declared = re.search(rb"""<meta[^>]+charset=["']?([\w-]+)""", html[:2048], re.IGNORECASE)
    parser = _Links()
    parser.feed(html.decode(declared[1].decode() if declared else "utf-8", errors="replace"))
    base = urljoin(url, parser.base)
    for href in parser.found:
        try:
            target = urljoin(base, href)
            same_host = urlsplit(target)[:2] == urlsplit(url)[:2]
        except ValueError:  # no URL at all: `http://[`
            continue
        if same_host:
            yield target


def expected_pages(root: Path) -> dict[Page, int]:
    """Every page that links lead to from `/`, with its status: 200, or 404 where no file is.

    A redirect is no page; its target is.
    """
    found: dict[Page, int] = {}
    waiting = ["http://site/"]
    seen = {page_of(waiting[0])}
    while waiting:
        url = waiting.pop()
        page = page_of(url)
        reply = answer(root, page[0])
        links: list[str] = []
        if reply.moved_to:
            links = [urljoin(url, reply.moved_to)]
        else:
            found[page] = 200 if reply.file else 404
            if reply.file and reply.content_type.startswith("text/html"):
                links = list(links_of(url, reply.file.read_bytes()))
        for link in links:
            if page_of(link) not in seen:
                seen.add(page_of(link))
                waiting.append(link)
    return found


class FolderSite(ThreadingHTTPServer):
    """Serves a folder on a free loopback port and keeps a log of what was asked for."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.log: list[Visit] = []
        """Every request, robots.txt aside, in the order of arrival."""

    def fetched(self) -> set[Page]:
        """The pages that were asked for at least once."""
        return {visit.page for visit in self.log.copy()}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that its client left, as killed clients do, is nothing to report."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one segment
    server: FolderSite

    def do_GET(self) -> None:
        page = page_of(self.path)
        if page[0] != "/robots.txt":
            agent = self.headers.get("User-Agent", "")
            self.server.log.append(Visit(time.perf_counter(), page, agent))
        reply = answer(self.server.root, page[0])
        body = reply.file.read_bytes() if reply.file else b"<p>Nothing here.</p>"
        self.send_response(301 if reply.moved_to else 200 if reply.file else 404)
        if reply.moved_to:
            self.send_header("Location", reply.moved_to)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the benchmark's output to its table."""


@contextmanager
def folder_site(root: Path) -> Iterator[FolderSite]:
    """Serve the folder while the block runs."""
    with FolderSite(root) as site:
        serving = threading.Thread(target=site.serve_forever, daemon=True)
        serving.start()
        try:
            yield site
        finally:
            site.shutdown()
            serving.join(timeout=10)
