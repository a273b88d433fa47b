"""The fast profile fetches the same, fails the same, and loses nothing."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

from deploy.local.practice_site import PracticeSite
from tests.certificates import Certificate
from tests.helpers import run_spider
from tests.integration.forward_proxy import forward_proxy

# A quote stands on several pages, and keeps the URL of the one that was stored last.
BY_CHANCE = ("fetched_at", "first_seen", "last_seen", "url")
FAST = "The fast profile: uvloop and aiohttp"


class _Echo(BaseHTTPRequestHandler):
    """Tells what it was asked; below /gzip it does so in gzip, below /cookie it wants its cookie
    back, and /odd has many headers, long ones and such that aren't UTF-8."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = sorted((name.lower(), value) for name, value in self.headers.items())
        asked = {"echo": self.requestline, "headers": headers, "body": self.rfile.read(length).decode()}
        body = json.dumps(asked).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        if self.path.startswith("/gzip"):
            body = gzip.compress(body, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        if self.path.startswith("/cookie"):
            self.send_header("Set-Cookie", "seen=yes")
        if self.path == "/odd":
            for number in range(200):
                self.send_header(f"X-{number}", "caf\u00e9")
            self.send_header("X-Long", "x" * 12_000)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_POST = do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@contextmanager
def echo(certificate: Certificate | None = None) -> Iterator[str]:
    """A server that tells what it was asked, over TLS where there is a certificate; its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
        server.shutdown()


def fetched(folder: Path, redis_url: str, crawl: str, told: list[dict[str, Any]], *, fast: bool) -> list[Any]:
    """How each of the requests `told` went, in the order of their URLs."""
    file, feed = folder / "told.json", folder / f"fast-{fast}.jsonl"
    file.write_text(json.dumps(told))
    ended = run_spider(
        "fetched",
        folder,
        arguments={"crawl": f"{crawl}-{fast}", "told": file},
        settings={
            "SPIDER_MODULES": "tests.integration.spiders",
            "FEEDS": json.dumps({str(feed): {"format": "jsonlines"}}),
            "FAST_PROFILE": fast,
            "CONCURRENT_REQUESTS": 1,
        },
        env={"REDIS_URL": redis_url},
    )
    assert ended.status == 0, ended.log
    assert (FAST in ended.log) is fast
    lines = [_comparable(json.loads(line)) for line in feed.read_text().splitlines()]
    return sorted(lines, key=lambda line: line["asked"])


def _comparable(line: dict[str, Any]) -> dict[str, Any]:
    """Without that in which Scrapy's own handlers differ: the words of an error; of a body that is announced
    as too large they tell before or after the signal of its headers, and one of them knows no address of what
    was stopped.
    """
    line.pop("why", None)
    if line.get("error") == "AnswerTooLarge":
        del line["heads"]
    if "download_stopped" in line.get("flags", ()):
        del line["address"]
    return line


def test_each_download_ends_as_it_does_by_default(
    redis_url: str, crawl_name: str, practice_site: PracticeSite, certificate: Certificate, tmp_path: Path
) -> None:
    # Given requests of every kind, to sites of every kind
    site = practice_site.url.rstrip("/")
    with echo() as plain, echo(certificate) as secure:
        told = [
            {"url": f"{site}/graph/1"},
            {"url": f"{site}/graph/2", "method": "HEAD"},
            {"url": f"{site}/graph/3", "meta": {"download_maxsize": 100}},
            {"url": f"{site}/graph/4?stop"},
            *({"url": f"{site}/traps/{name}"} for name in ("301", "302", "meta-refresh", "404", "500")),
            *({"url": f"{site}/traps/{name}"} for name in ("reset", "empty", "no-type", "utf-16", "pdf")),
            {"url": f"{site}/traps/truncated"},
            {"url": f"{site}/traps/truncated?kept", "meta": {"download_fail_on_dataloss": False}},
            {"url": f"{site}/traps/never", "meta": {"download_timeout": 0.5}},
            {"url": f"{site}/traps/bomb", "meta": {"download_maxsize": 1_000_000}},
            {"url": f"{plain}/a%20b/%41%7e%2f?q=%C3%A9&x=a%26b+c#there"},
            {"url": f"{plain}/posted", "method": "POST", "body": "a=b", "headers": {"X-A": ["1", "2"]}},
            {"url": f"{plain}/empty", "method": "POST"},
            {"url": f"{plain}/gzip"},
            {"url": f"{plain}/odd"},
            {"url": f"{plain}/cookie/1"},
            {"url": f"{plain}/cookie/2"},
            {"url": f"{secure}/secure"},
            {"url": "http://127.0.0.1:9/"},
            {"url": "http://nowhere.invalid/"},
        ]
        # When they are fetched by default, and with the fast profile
        default = fetched(tmp_path, redis_url, crawl_name, told, fast=False)
        fast = fetched(tmp_path, redis_url, crawl_name, told, fast=True)
    # Then all that can be told of them is the same
    assert len(default) == len(told)
    assert [line for line in zip(default, fast, strict=True) if line[0] != line[1]] == []


def test_proxies_are_gone_through_as_by_default(
    redis_url: str, crawl_name: str, practice_site: PracticeSite, tmp_path: Path
) -> None:
    # Given a proxy
    with forward_proxy("p") as proxy:
        meta = {"proxy": f"http://user:secret@{proxy.exit}"}
        # When a page is fetched through it, with the fast profile
        told = [{"url": f"{practice_site.url}graph/5", "meta": meta}]
        came = fetched(tmp_path, redis_url, crawl_name, told, fast=True)
        # Then it has passed there, with user and password
        assert [line["status"] for line in came] == [200]
        assert [asked.authorization.split(" ")[0] for asked in proxy.asked] == ["Basic"]


@pytest.mark.parametrize("start", ["", "traps/"])
def test_a_crawl_finds_the_same_pages_and_items(
    start: str,
    redis_url: str,
    redis_client: redis.Redis,
    crawl_name: str,
    mongo_uri: str,
    database: str,
    mongo_client: pymongo.MongoClient[dict[str, object]],
    practice_site: PracticeSite,
    tmp_path: Path,
) -> None:
    # Given a site with pages and with traps, and a crawl of it by default
    def crawl(*, fast: bool) -> tuple[list[dict[str, object]], list[tuple[bytes, bytes]]]:
        name = f"{crawl_name}-{fast}"
        settings = {"FAST_PROFILE": fast, "MONGO_DATABASE": database, "DOWNLOAD_TIMEOUT": 10}
        ended = run_spider(
            "pages" if start else "quotes",
            tmp_path,
            arguments={"crawl": name, "url": f"{practice_site.url}{start}"},
            settings=settings | {"FRONTIER_BACK_OFF_S": 0.1, "RETRY_TIMES": 3},
            env={"REDIS_URL": redis_url, "MONGO_URI": mongo_uri},
            timeout_s=120,
        )
        assert ended.status == 0, ended.log
        assert ended.reason == "finished"
        stored, without = mongo_client[database], dict.fromkeys(BY_CHANCE, 0)
        documents = [
            document
            for collection in sorted(stored.list_collection_names())
            if not collection.startswith("frontier_")
            for document in stored[collection].find({}, without).sort("_id")
        ]
        mongo_client.drop_database(database)
        letters = redis_client.xrange(f"{{{name}}}:dead")
        dead = sorted((fields[b"payload"], fields[b"reason"].split(b":")[0]) for _, fields in letters)
        return documents, dead

    by_default = crawl(fast=False)
    # When it is crawled with the fast profile
    # Then the documents are the same, and so is what is set aside
    assert crawl(fast=True) == by_default
    assert len(by_default[0]) > 10


def test_what_is_not_installed_is_said_and_done_without(
    redis_url: str, crawl_name: str, practice_site: PracticeSite, tmp_path: Path
) -> None:
    # Given an environment in which uvloop and aiohttp can't be found
    hidden = "import importlib.util as u\nf = u.find_spec\nhidden = ('uvloop', 'aiohttp')\n"
    hide = f"{hidden}u.find_spec = lambda name, *more: None if name in hidden else f(name, *more)\n"
    (tmp_path / "sitecustomize.py").write_text(hide)
    # When a worker has the fast profile
    ended = run_spider(
        "quotes",
        tmp_path,
        arguments={"crawl": crawl_name, "url": practice_site.url},
        settings={"FAST_PROFILE": True, "ITEM_PIPELINES": "{}"},
        env={"REDIS_URL": redis_url, "PYTHONPATH": str(tmp_path)},
    )
    # Then it says in one line what it lacks, and crawls
    said = [line for line in ended.log.splitlines() if "The fast profile" in line]
    assert len(said) == 1
    assert "in part: without uvloop the event loop is asyncio's; without aiohttp Twisted downloads" in said[0]
    assert ended.reason == "finished"
