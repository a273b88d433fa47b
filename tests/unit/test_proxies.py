"""Which proxies there are, which of them are well, and what a request shows of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from scrapy import Request
from scrapy.exceptions import DownloadConnectionRefusedError, DownloadTimeoutError
from scrapy.http import Response
from scrapy.utils.test import get_crawler

from crawlers.scheduler.config import BadSetting
from crawlers.scheduler.proxies import Address, BackOff, Exit, Exits, NotAProxy, address_of
from crawlers.scheduler.proxylist import ProxyList
from crawlers.scheduler.rotation import RotatingProxies, ThroughProxy

BACK_OFF = BackOff(1, 4)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """The moment, in seconds."""
        return self.now_s


def exits_of(*names: str, clock: Clock | None = None) -> Exits:
    """Exits with these hosts and ports."""
    exits = Exits(BACK_OFF, clock or Clock())
    exits.replace([address_of(name) for name in names])
    return exits


@pytest.mark.parametrize(
    ("line", "exit_", "url", "authorization"),
    [
        ("http://a.example:3128", "a.example:3128", "http://a.example:3128", None),
        ("a.example:3128", "a.example:3128", "http://a.example:3128", None),
        ("https://u:p@A.example:1/", "a.example:1", "https://a.example:1", b"Basic dTpw"),
        ("http://u%40:p%3A@[::1]:8080", "[::1]:8080", "http://[::1]:8080", b"Basic dUA6cDo="),
    ],
)
def test_a_line_is_split_into_what_may_be_shown_and_what_may_not(
    line: str, exit_: str, url: str, authorization: bytes | None
) -> None:
    # Given a line, when it is read, then user and password are apart from the rest
    assert address_of(line) == Address(exit_, url, authorization)


@pytest.mark.parametrize(
    "line",
    ["a.example", "socks5://a.example:1", "http://:80", "http://a:99999", "http://a|b:1", "http://a:1/x"],
)
def test_a_line_that_names_no_proxy_is_refused(line: str) -> None:
    # Given a line that is no proxy's URL, when it is read, then that fails
    with pytest.raises(NotAProxy):
        address_of(line)


def test_an_exit_that_cannot_be_reached_rests_twice_as_long_each_time_and_is_tried_by_one() -> None:
    # Given an exit that refuses connections
    exit_ = Exit("a:1", BACK_OFF)
    exit_.addresses.append(address_of("a:1"))
    rests = []
    now_s = 0.0
    # When it is tried each time that it is well
    for _ in range(4):
        exit_.take(now_s)
        others_wait = exit_.well_at_s > now_s
        assert exit_.failed(now_s, now_s, surely=True)
        rests.append((exit_.well_at_s - now_s, others_wait))
        now_s = exit_.well_at_s
    # Then it rests longer and longer, and while it is tried after a rest nobody else goes there
    assert rests == [(1, False), (2, True), (4, True), (4, True)]
    # And its first answer makes it well
    exit_.take(now_s)
    exit_.answered(now_s, now_s + 1)
    assert (exit_.well_at_s, exit_.rest_s) == (0, 0)


def test_requests_that_were_under_way_when_an_exit_was_put_to_rest_change_nothing() -> None:
    # Given an exit with three requests under way, of which one is refused
    exit_ = Exit("a:1", BACK_OFF)
    exit_.failed(0, 5, surely=True)
    # When the others are refused and answered
    exit_.failed(0, 5.5, surely=True)
    exit_.answered(0, 5.6)
    # Then it rests as long as after the first
    assert exit_.well_at_s == 6


def test_a_failure_that_may_be_the_sites_is_an_exits_only_if_nothing_else_was_answered() -> None:
    # Given an exit through which requests time out one after another
    exit_ = Exit("a:1", BACK_OFF)
    # When nothing is answered in between, then all but the first are its own, and it rests after the third
    assert [exit_.failed(n, n + 0.5, surely=False) for n in range(3)] == [False, True, True]
    assert exit_.well_at_s == 3.5
    # When one that was sent later has been answered, then they are the sites'
    exit_.answered(4, 9)
    assert [exit_.failed(8, 10, surely=False) for _ in range(5)] == [False] * 5
    assert exit_.well_at_s == 0


def test_exits_take_turns_and_those_that_rest_are_passed_over() -> None:
    # Given three exits, of which one rests
    clock = Clock()
    exits = exits_of("a:1", "b:1", "c:1", clock=clock)
    resting = exits.well("b:1")
    assert resting is not None
    resting.failed(0, 0, surely=True)
    # When six are taken
    taken = [exits.next_well() for _ in range(6)]
    # Then the others have three each
    assert Counter(exit_.name for exit_ in taken if exit_) == {"a:1": 3, "c:1": 3}
    # And when all rest, it is known for how long
    for name in ("a:1", "c:1"):
        if found := exits.well(name):
            found.failed(0, 0.5, surely=True)
    clock.now_s = 0.75
    assert (exits.next_well(), exits.wait_s()) == (None, 0.25)


def test_lines_with_the_same_host_and_port_are_one_exit_whose_users_take_turns() -> None:
    # Given two users of one exit, when it is taken three times
    exits = exits_of("http://u:1@a:1", "http://u:2@a:1")
    exit_ = exits.next_well()
    assert exit_ is not None
    taken = [exit_.take(0).authorization for _ in range(3)]
    # Then each has its turn
    assert len(exits) == 1
    assert taken[0] == taken[2] != taken[1]


def test_a_url_keeps_its_exit_while_that_is_well_and_whatever_becomes_of_others() -> None:
    # Given the exits of 2,000 URLs among five
    urls = [f"http://site.example/{n}" for n in range(2000)]
    names = [f"{letter}:1" for letter in "abcde"]
    exits = exits_of(*names)

    def exits_of_urls() -> list[str]:
        return [exit_.name for url in urls if (exit_ := exits.of_url(url))]

    before = exits_of_urls()
    # When one of them rests, then its URLs alone go to others, in about equal shares
    assert min(Counter(before).values()) > 200
    resting = exits.well("c:1")
    assert resting is not None
    resting.failed(0, 0, surely=True)
    after = exits_of_urls()
    assert {was for was, now in zip(before, after, strict=True) if was != now} == {"c:1"}
    assert "c:1" not in after
    # And when it is taken away and another worker knows the rest in another order, it is the same
    exits.replace([address_of(name) for name in reversed(names) if name != "c:1"])
    assert exits_of_urls() == after


def test_a_file_is_read_again_and_bad_lines_are_told_by_their_numbers_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a file with a comment, a good line and a bad one
    file = tmp_path / "proxies.txt"
    file.write_text("# ours\n\nhttp://a:1\nftp://u:secret@b:1\n")
    clock = Clock()
    exits, proxies = Exits(BACK_OFF, clock), ProxyList(str(file), "latin-1")
    # When it is read
    asyncio.run(proxies.read(exits, None))
    # Then the bad one is left out, and not shown
    assert (len(exits), bool(exits.well("a:1"))) == (1, True)
    assert "line 4 of" in caplog.text
    assert "secret" not in caplog.text
    # And when it changes, that is seen some seconds later; and what is gone for a while stays
    file.write_text("http://a:1\nhttp://c:1\n")
    asyncio.run(proxies.read_again(exits, None))
    assert len(exits) == 1
    clock.now_s = 5
    asyncio.run(proxies.read_again(exits, None))
    assert len(exits) == 2
    file.unlink()
    clock.now_s = 10
    asyncio.run(proxies.read_again(exits, None))
    assert len(exits) == 2
    with pytest.raises(BadSetting, match="can't be read"):
        asyncio.run(proxies.read(exits, None))


class Pair:
    """Both middlewares as Scrapy would have them, with a file of proxies."""

    def __init__(self, folder: Path, *lines: str) -> None:
        file = folder / "proxies.txt"
        file.write_text("\n".join(lines))
        self.crawler = get_crawler(settings_dict={"FRONTIER_PROXIES": str(file)})
        self.rotating = RotatingProxies(self.crawler)
        self.through = ThroughProxy(self.crawler)
        self.through._proxies = self.rotating  # there is no engine that would know it

    async def send(self, request: Request) -> dict[str, object]:
        """Takes it as far as the downloader. Where it would go, and as whom."""
        assert await self.rotating.process_request(request) is None
        self.through.process_request(request)
        return {"proxy": request.meta.get("proxy"), "user": request.headers.get(b"Proxy-Authorization")}


def test_what_others_see_of_a_request_holds_nothing_of_its_proxy(tmp_path: Path) -> None:
    async def scenario() -> None:
        # Given a proxy with a password
        pair = Pair(tmp_path, "http://u:p@a:1")
        answers = [Response("http://site.example/"), DownloadTimeoutError(), DownloadConnectionRefusedError()]
        for answer in answers:
            # When a request comes back from it, be it with an answer or a failure
            request = Request("http://site.example/")
            sent = await pair.send(request)
            assert sent == {"proxy": "http://a:1", "user": b"Basic dTpw"}
            if isinstance(answer, Response):
                pair.through.process_response(request, answer)
            else:
                pair.through.process_exception(request, answer)
            # Then neither the proxy nor the password is left on it
            assert (request.meta.get("proxy"), request.headers) == (None, {})

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "meta"),
    [
        ("http://site.example/", {"proxy": "http://own:1"}),
        ("http://site.example/", {"proxy": None}),
        ("data:,x", {}),
    ],
)
def test_what_has_a_proxy_of_its_own_or_needs_none_is_left_alone(
    tmp_path: Path, url: str, meta: dict[str, object]
) -> None:
    async def scenario() -> None:
        # Given a proxy for all, when a request goes out that has its own, or isn't HTTP
        pair = Pair(tmp_path, "http://a:1")
        sent = await pair.send(Request(url, meta=meta))
        # Then it goes as it was to
        assert sent == {"proxy": meta.get("proxy"), "user": None}
        assert pair.crawler.stats.get_stats() == {}

    asyncio.run(scenario())


def test_a_proxy_of_the_environment_gives_way_and_its_password_goes_nowhere(tmp_path: Path) -> None:
    async def scenario() -> None:
        # Given a request for which Scrapy has taken a proxy from the environment, when it goes out
        pair = Pair(tmp_path, "http://a:1")
        request = Request("http://site.example/", meta={"proxy": "http://env:1", "_scheme_proxy": True})
        request.headers[b"Proxy-Authorization"] = b"Basic x"
        # Then it goes through ours, and that hears nothing of the other's password
        assert await pair.send(request) == {"proxy": "http://a:1", "user": None}

    asyncio.run(scenario())
