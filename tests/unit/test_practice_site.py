"""The practice site serves what it promises, so that other tests may rely on it."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from parsel import Selector

from deploy.local.binaries import ServerError
from deploy.local.practice_site import PracticeSite, graph_links
from deploy.local.practice_site import practice_site as run_practice_site
from deploy.local.processes import LOOPBACK
from deploy.local.site_pages import MAX_QUOTES, make_quotes
from deploy.local.site_traps import FORBIDDEN, LEAVES
from tests.helpers import wait_until


class Browser:
    """A keep-alive connection to the practice site, closed at the end of a `with`."""

    def __init__(self, site: PracticeSite) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=5)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def get(self, path: str, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
        """The response to a request for a path, and its body."""
        self.connection.request(method, quote(path, safe="/?=&%+"))
        response = self.connection.getresponse()
        return response, response.read()

    def page(self, path: str) -> Selector:
        """A page that must be there, ready for CSS."""
        response, body = self.get(path)
        assert response.status == 200, path
        return Selector(body.decode())


@pytest.fixture
def browser(practice_site: PracticeSite):
    with Browser(practice_site) as browser:
        yield browser


def test_following_next_shows_a_hundred_different_quotes_on_ten_pages(browser: Browser) -> None:
    # Given the front page, When every `next` is followed
    texts, path, pages = [], "/", 0
    while path:
        page = browser.page(path)
        for block in page.css("div.quote"):
            texts.append(block.css("span.text::text").get())
            assert block.css("small.author::text").get()
            assert block.css("div.tags a.tag::text").getall()
        pages += 1
        path = page.css("li.next a::attr(href)").get()
    # Then there were ten pages of ten quotes, and no text came twice
    assert (pages, len(texts), len(set(texts))) == (10, 100, 100)


def test_every_link_of_the_quotes_site_leads_to_a_page(browser: Browser) -> None:
    # Given the front page, When every link is followed
    seen, found = set(), {"/"}
    while found:
        path = found.pop()
        seen.add(path)
        found |= set(browser.page(path).css("a::attr(href)").getall()) - seen
    # Then all were pages, among them those of authors and tags
    assert any(path.startswith("/author/") for path in seen)
    assert any(re.fullmatch(r"/tag/\w+/page/2/", path) for path in seen)


def test_an_author_has_a_page_and_its_old_address_moves_there(browser: Browser) -> None:
    author = browser.page("/").css("small.author + a::attr(href)").get()
    assert browser.page(author).css("h3.author-title::text").get()
    response, _ = browser.get(author.rstrip("/"))
    assert (response.status, response.headers["Location"]) == (308, author)


@pytest.mark.parametrize("path", ["/page/11/", "/page/0/", "/page/x/", "/graph/1000", "/traps/no"])
def test_what_does_not_exist_is_404(browser: Browser, path: str) -> None:
    assert browser.get(path)[0].status == 404


def test_no_quote_comes_twice_up_to_the_stated_limit() -> None:
    assert len({quote.text for quote in make_quotes(MAX_QUOTES)}) == MAX_QUOTES


@pytest.mark.parametrize("pages", [1, 2, 3, 20, 1000])
def test_every_page_of_the_graph_is_reachable_from_the_first(pages: int) -> None:
    # Given a graph, When all links from page 0 are followed
    seen, found = {0}, [0]
    while found:
        links = graph_links(found.pop(), pages)
        assert len(links) == 20
        found += set(links) - seen
        seen |= set(links)
    # Then every page was found
    assert seen == set(range(pages))


def test_graph_pages_have_4_kb_and_the_links_that_are_told(browser: Browser) -> None:
    response, body = browser.get("/graph/7")
    links = Selector(body.decode()).css("a::attr(href)").getall()
    assert links == [f"/graph/{page}" for page in graph_links(7, 1000)]
    assert 3900 < len(body) < 4500
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"


def test_robots_txt_forbids_one_trap_and_may_ask_for_a_delay(browser: Browser, tmp_path: Path) -> None:
    assert browser.get("/robots.txt")[1].decode() == f"User-agent: *\nDisallow: {FORBIDDEN}\n"
    with run_practice_site(tmp_path, crawl_delay_s=0.5) as site, Browser(site) as other:
        assert b"\nCrawl-delay: 0.5\n" in other.get("/robots.txt")[1]


def test_the_traps_lead_to_every_leaf_that_is_told(browser: Browser) -> None:
    # Given all traps that the index links to, except those that break the connection
    traps = browser.page("/traps/").css("a::attr(href)").getall()
    # When each is read as it says it is encoded, or else as a browser would
    leaves = set()
    for trap in set(traps) - {"/traps/truncated", "/traps/reset"}:
        response, body = browser.get(trap)
        charset = response.headers.get_content_charset("cp1252")
        text = body.decode(charset, errors="replace") + (response.headers["Location"] or "")
        text = text.replace('href="base-href"', 'href="/traps/leaf/base-href"')
        leaves |= set(re.findall(r'/traps/leaf/([^"#?<]+)', text))
    # Then the leaves are those that are told, and each is a page
    leaves.discard("")
    assert leaves == LEAVES
    for leaf in LEAVES:
        assert leaf in browser.page(f"/traps/leaf/{leaf}").css("h1::text").get()


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/traps/301", 301, "/traps/leaf/moved-301"),
        ("/traps/302", 302, "/traps/leaf/moved-302"),
        ("/traps/loop", 302, "/traps/loop"),
        ("/traps/endless/41", 302, "/traps/endless/42"),
    ],
)
def test_redirects_lead_where_they_should(browser: Browser, path: str, status: int, location: str) -> None:
    response, _ = browser.get(path)
    assert (response.status, response.headers["Location"]) == (status, location)


def test_bytes_that_lie_about_their_encoding_do(browser: Browser) -> None:
    response, body = browser.get("/traps/latin-1")
    assert response.headers.get_content_charset() == "utf-8"
    with pytest.raises(UnicodeDecodeError):
        body.decode("utf-8")


@pytest.mark.parametrize(("status", "header"), [(503, None), (429, "3")])
def test_a_trap_that_gives_in_refuses_twice_and_then_serves(
    browser: Browser, status: int, header: str | None
) -> None:
    # Given a key of our own, When it is asked for three times
    path = f"/traps/{status}?key={time.monotonic_ns()}&retry_after_s=3"
    responses = [browser.get(path)[0] for _ in range(3)]
    # Then only the third is served
    assert [response.status for response in responses] == [status, status, 200]
    assert responses[0].headers["Retry-After"] == header


def test_a_slow_page_takes_its_time(browser: Browser) -> None:
    started_s = time.monotonic()
    browser.page("/traps/slow?ms=200")
    assert time.monotonic() - started_s >= 0.2


def test_broken_connections_are_broken(browser: Browser) -> None:
    with pytest.raises(http.client.IncompleteRead):
        browser.get("/traps/truncated")
    browser.connection.close()
    with pytest.raises(ConnectionResetError):
        browser.get("/traps/reset")
    browser.connection.close()
    browser.connection.timeout = 0.2
    with pytest.raises(TimeoutError):
        browser.get("/traps/never")


def test_a_connection_serves_many_requests_and_head_has_no_body(browser: Browser) -> None:
    # Given one connection, When it is used for HEAD and then for GET
    response, body = browser.get("/graph/1", method="HEAD")
    socket_before = browser.connection.sock
    page = browser.get("/graph/1")[1]
    # Then the first tells the size of the second, and both came over the same socket
    assert (body, int(response.headers["Content-Length"])) == (b"", len(page))
    assert browser.connection.sock is socket_before is not None


def test_pipelined_and_split_requests_are_answered_in_turn(practice_site: PracticeSite) -> None:
    # Given two requests in one packet, the first of them slow, and half of a third
    address = urlsplit(practice_site.url)
    paths = ["/traps/slow?ms=50", "/graph/3", "/graph/4"]
    requests = "".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths).encode()
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        # When the rest follows
        connection.sendall(requests[:-10])
        connection.sendall(requests[-10:])
        received = b""
        while received.count(b"</html>") < 2:
            received += connection.recv(65536)
    # Then the answers come in the order of the requests
    titles = re.findall(rb"<title>(.*?)</title>", received)
    assert titles == [b"slow", b"Page 3", b"Page 4"]


def test_what_is_neither_get_nor_head_is_refused(browser: Browser) -> None:
    response, _ = browser.get("/", method="DELETE")
    assert (response.status, response.headers["Connection"]) == (405, "close")


def test_visits_tell_when_each_request_began_and_how_many_were_open(tmp_path: Path) -> None:
    # Given a site that waits before each answer
    with run_practice_site(tmp_path, delay_ms=100, hosts=(LOOPBACK, "127.0.0.2")) as site:
        port = urlsplit(site.url).port
        hosts = [LOOPBACK, LOOPBACK, "127.0.0.2"]
        # When two requests are open at one of its hosts and one at the other
        requests = [threading.Thread(target=_visit, args=(host, port)) for host in hosts]
        for request in requests:
            request.start()
        for request in requests:
            request.join()
        visits = site.visits()
    # Then the visits are in order and counted for each host
    assert [visit.ms for visit in visits] == sorted(visit.ms for visit in visits)
    most_open = {host: max(v.open for v in visits if v.host == f"{host}:{port}") for host in hosts}
    assert most_open == {LOOPBACK: 2, "127.0.0.2": 1}
    assert {unquote(visit.path) for visit in visits} == {"/graph/1"}


def _visit(host: str, port: int) -> None:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.request("GET", "/graph/1")
    connection.getresponse().read()
    connection.close()


def test_a_request_whose_client_has_gone_is_no_longer_open(tmp_path: Path) -> None:
    # Given a client that gave up on a page that never comes
    with run_practice_site(tmp_path) as site:
        address = urlsplit(site.url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(b"GET /traps/never HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(site.visits)
        # When another asks the same host, Then that one is the only one open
        assert wait_until(lambda: _open_now(site) == 1)


def _open_now(site: PracticeSite) -> int:
    address = urlsplit(site.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(b"GET /graph/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(65536)
    return site.visits()[-1].open


def test_a_taken_port_and_a_public_address_are_refused_in_one_sentence(
    practice_site: PracticeSite, tmp_path: Path
) -> None:
    port = urlsplit(practice_site.url).port
    with (
        pytest.raises(ServerError, match=f"Port {port} cannot be used .*: choose another"),
        run_practice_site(tmp_path, port=port),
    ):
        pass
    with (
        pytest.raises(ServerError, match=r"0\.0\.0\.0 is not a loopback address"),
        run_practice_site(tmp_path, hosts=["0.0.0.0"]),
    ):
        pass


def test_it_is_never_what_a_crawl_waits_for(tmp_path: Path) -> None:
    # Given a site in a process of its own
    pages = 5000
    request = b"GET /graph/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    with run_practice_site(tmp_path) as site:
        address = urlsplit(site.url)
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            connection.sendall(request)
            answer_bytes = len(connection.recv(65536))
            # When a client asks for many pages, a hundred at a time
            started_s = time.monotonic()
            for _ in range(pages // 100):
                connection.sendall(request * 100)
                _receive(connection, 100 * answer_bytes)
            elapsed_s = time.monotonic() - started_s
    # Then it serves at least 5,000 a second, many times what a crawler fetches
    assert pages / elapsed_s > 5000


def _receive(connection: socket.socket, size: int) -> None:
    while size > 0:
        size -= len(connection.recv(size))
