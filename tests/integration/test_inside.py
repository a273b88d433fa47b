"""A page sends no worker to where only its machine, its network or its cloud can go."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.helpers import Ended, run_spider
from tests.integration.forward_proxy import forward_proxy

START, INSIDE = "127.0.0.1", "127.0.0.77"
SECRET = b"<p>secret"


class Sites:
    """One port at which 127.0.0.1 answers by `pages`, a path's status, headers and body, and 127.0.0.77 tells
    its secret. `asked`: the paths that came to the latter.
    """

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []
        self.port = 0

    def page(self, path: str, *hrefs: str, more: str = "") -> None:
        """A page with links."""
        body = "".join(f"<a href='{href}'>x</a>" for href in hrefs) + more
        self.pages[path] = 200, {"Content-Type": "text/html"}, body.encode()

    def redirect(self, path: str, to: str) -> None:
        """A page that leads elsewhere by itself."""
        self.pages[path] = 302, {"Location": to}, b""

    def url(self, host: str, path: str = "/") -> str:
        """The URL of a page."""
        return f"http://{host}:{self.port}{path}"


@pytest.fixture
def sites() -> Iterator[Sites]:
    """Both, for the while."""
    sites = Sites()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            inside = self.server.server_address[0] == INSIDE
            if inside:
                sites.asked.append(self.path)
            status, headers, body = (
                (200, {}, SECRET) if inside else sites.pages.get(self.path, (404, {}, b""))
            )
            self.send_response(status)
            for name, value in {"Content-Type": "text/html", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ExitStack() as stack:
        for host in (START, INSIDE):
            server = stack.enter_context(ThreadingHTTPServer((host, sites.port), Handler))
            sites.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield sites


class Crawl:
    """Runs the spider; `dead` are its dead letters afterwards, URL -> reason."""

    def __init__(self, folder: Path, redis_url: str, name: str, client: redis.Redis) -> None:
        self._folder, self._redis_url, self.name, self._client = folder, redis_url, name, client

    def run(self, url: str, names: dict[str, list[str]] | None = None, **settings: Any) -> Ended:
        """One worker, from start to end."""
        return run_spider(
            "inward",
            self._folder,
            arguments={"crawl": self.name, "url": url, "names": json.dumps(names or {})},
            settings={
                "SPIDER_MODULES": "tests.integration.spiders",
                "FILES_STORE": self._folder / "files",
                "FEEDS": json.dumps({str(self._folder / "items.jsonl"): {"format": "jsonlines"}}),
                **settings,
            },
            env={"REDIS_URL": self._redis_url},
        )

    @property
    def dead(self) -> list[str]:
        """The reasons of the dead letters."""
        letters = self._client.xrange(f"{{{self.name}}}:dead")
        return [fields[b"reason"].decode() for _, fields in letters]

    @property
    def bodies(self) -> str:
        """All that was crawled."""
        return (self._folder / "items.jsonl").read_text()


@pytest.fixture
def crawl(tmp_path: Path, redis_url: str, crawl_name: str, redis_client: redis.Redis) -> Crawl:
    """A crawl of this test alone."""
    return Crawl(tmp_path, redis_url, crawl_name, redis_client)


@pytest.mark.parametrize("fast", [False, True], ids=["default", "fast"])
def test_a_page_leads_inside_by_no_way_of_writing_it(fast: bool, sites: Sites, crawl: Crawl) -> None:
    # Given a site on 127.0.0.1 that leads to 127.0.0.77 by links, redirects, names and images
    spellings = [INSIDE, "0x7f.77", "2130706509", "127.77", "0177.0.0.0115", "[::ffff:127.0.0.77]"]
    spellings += [
        "[64:ff9b::7f00:4d]",
        "[2002:7f00:4d::1]",
        "other.localhost",
        "evil.example.com",
        "127.0.0.77.",
    ]
    links = [sites.url(host, f"/link/{n}") for n, host in enumerate(spellings)]
    for n, host in enumerate(spellings):
        sites.redirect(f"/redirect/{n}", sites.url(host, f"/redirected/{n}"))
    redirects = [f"/redirect/{n}" for n in range(len(spellings))]
    names = {"other.localhost": [INSIDE], "evil.example.com": [INSIDE], "turns.example.com": [START, INSIDE]}
    turning = [sites.url("turns.example.com", f"/turn/{n}") for n in range(3)]
    ftp = sites.url("evil.example.com").replace("http", "ftp")
    image = f"<img src='{sites.url(INSIDE, '/image')}'><img src='/redirect/0'>"
    sites.page("/", *links, *redirects, *turning, "/refresh", ftp, "http://169.254.169.254/", more=image)
    sites.page(
        "/refresh", more=f"<meta http-equiv=refresh content='0;url={sites.url(INSIDE, '/refreshed')}'>"
    )
    for n in range(3):
        sites.page(f"/turn/{n}", more="turned")

    # When it is crawled
    ended = crawl.run(sites.url(START), names, FAST_PROFILE=fast, ROBOTSTXT_OBEY=False)

    # Then nothing was asked for inside, and each page that leads there has its dead letter with the reason
    assert ended.status == 0, ended.log
    assert sites.asked == []
    assert "turned" in crawl.bodies, ended.log
    assert "secret" not in crawl.bodies
    refused = [reason for reason in crawl.dead if "FRONTIER_INSIDE_NETWORKS" in reason]
    for n in range(len(spellings)):
        assert [f"/link/{n} is at" in reason for reason in refused].count(True) == 1, (n, crawl.dead)
        (redirected,) = [reason for reason in refused if f"/redirected/{n}, where" in reason]
        assert sites.url(START, f"/redirect/{n}") in redirected
    assert any("/refreshed, where" in reason for reason in refused)
    assert any("ftp://" in reason for reason in refused)
    assert any("169.254.169.254, a metadata address" in reason for reason in refused)


def test_a_robots_txt_leads_nowhere_inside(sites: Sites, crawl: Crawl) -> None:
    # Given a host whose robots.txt redirects to an inside address
    sites.redirect("/robots.txt", sites.url(INSIDE, "/robots"))
    sites.page("/")

    # When it is crawled
    crawl.run(sites.url(START))

    # Then nothing was asked for inside, and the page says why it was not fetched
    assert sites.asked == []
    assert any("/robots, where" in reason for reason in crawl.dead)


def test_the_operator_may_go_inside_by_a_start_and_by_a_setting(
    sites: Sites, crawl: Crawl, redis_client: redis.Redis
) -> None:
    # Given a site that leads inside, once to a host that is pushed as a start URL and once to one that isn't
    sites.page("/", sites.url(INSIDE, "/1"))
    redis_client.rpush(f"{crawl.name}:start_urls", sites.url("wiki", "/pushed"))
    names = {"wiki": [INSIDE]}

    # When it is crawled, then the name that was pushed is crawled, and the address that a page led to isn't
    crawl.run(sites.url(START), names)
    assert sites.asked == ["/robots.txt", "/pushed"]
    assert len(crawl.dead) == 1

    # When the setting allows its network, then the address is crawled as well
    crawl.run(sites.url(START), names, FRONTIER_INSIDE_NETWORKS=f"{INSIDE}/32")
    assert sites.asked[2:] == ["/robots.txt", "/1"]
    assert crawl.dead == []


def test_a_worker_knows_the_starts_that_another_has_read(
    sites: Sites, crawl: Crawl, redis_client: redis.Redis
) -> None:
    # Given a crawl that was stopped when it had read its start, on an inside host, and queued its links
    sites.page("/", *(f"/leaf/{n}" for n in range(3)))
    for n in range(3):
        sites.page(f"/leaf/{n}", more=f"leaf{n}")
    crawl.run(sites.url(START), CLOSESPIDER_PAGECOUNT=1, CONCURRENT_REQUESTS=1)
    assert redis_client.smembers(f"{{{crawl.name}}}:inside") == {b"localhost"}

    # When a worker goes on that has no start of its own
    crawl.run("")

    # Then it crawls them
    assert crawl.dead == []
    assert all(f"leaf{n}" in crawl.bodies for n in range(3))


def test_of_what_goes_through_a_proxy_the_url_is_looked_at(sites: Sites, crawl: Crawl) -> None:
    # Given a site that leads inside, and a proxy on loopback through which all goes
    sites.page("/", sites.url(INSIDE, "/1"))
    with forward_proxy("any") as proxy:
        # When it is crawled
        (proxies := crawl._folder / "proxies").write_text(f"http://127.0.0.1:{proxy.port}\n")
        crawl.run(sites.url(START), FRONTIER_PROXIES=proxies)

    # Then the proxy was used, though it is inside, and was not asked for the inside page
    assert sites.asked == []
    assert any("127.0.0.77, a loopback" in reason for reason in crawl.dead)
    assert "127.0.0.1" in crawl.bodies
