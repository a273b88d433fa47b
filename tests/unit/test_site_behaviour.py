"""Each host of the practice site behaves as it was told, so that tests of politeness may rely on it."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.local.binaries import ServerError
from deploy.local.practice_site import NEVER, Behaviour, PracticeSite, practice_site
from tests.helpers import wait_until

WELL, ILL = "127.0.0.1", "127.0.0.2"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PracticeSite]:
    """A site with one host that is told nothing, and another that is told what a test likes."""
    with practice_site(tmp_path, hosts=(WELL, ILL)) as site:
        yield site


def ask(
    site: PracticeSite, host: str, path: str = "/graph/1", timeout_s: float = 5
) -> tuple[int, Message, str]:
    """Status, headers and body of a host's answer."""
    connection = http.client.HTTPConnection(host, urlsplit(site.url).port or 80, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"User-Agent": "Tester"})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


def status(site: PracticeSite, host: str = ILL, path: str = "/graph/1") -> int:
    """The status of a host's answer."""
    return ask(site, host, path)[0]


@pytest.mark.parametrize("retry_after", ["3", "Fri, 06 Nov 2026 08:49:37 GMT"])
def test_a_host_refuses_as_many_requests_as_it_was_told_amid_a_crawl(
    site: PracticeSite, retry_after: str
) -> None:
    # Given two hosts that serve
    assert (status(site, WELL), status(site)) == (200, 200)
    # When one is told to refuse two requests
    site.tell(ILL, Behaviour(status=429, retry_after=retry_after, requests=2))
    refused, headers, _ = ask(site, ILL)
    # Then these are refused as told, robots.txt too, and the other host serves on
    assert (refused, headers["Retry-After"]) == (429, retry_after)
    assert [status(site, WELL), status(site, path="/robots.txt"), status(site)] == [200, 429, 200]


def test_a_host_refuses_for_as_long_as_it_was_told(site: PracticeSite) -> None:
    # Given a host that was told to be down for a while
    site.tell(ILL, Behaviour(status=503, for_s=0.3))
    told_s = time.monotonic()
    refused, headers, _ = ask(site, ILL)
    # When it has recovered, Then that took the while, and it had asked for no wait
    wait_until(lambda: status(site) == 200)
    assert time.monotonic() - told_s >= 0.3
    assert (refused, headers["Retry-After"]) == (503, None)


def test_a_host_that_never_answers_still_takes_requests_and_can_be_told_to_answer(site: PracticeSite) -> None:
    # Given a host that is silent, pages and robots.txt
    site.tell(ILL, Behaviour(status=NEVER))
    for path in ("/graph/1", "/robots.txt"):
        with pytest.raises(TimeoutError):
            ask(site, ILL, path, timeout_s=0.1)
    # When it is told to behave well again, Then it answers
    site.tell(ILL, Behaviour())
    assert status(site) == 200
    assert [visit.status for visit in site.visits()] == [0, 0, 200]


@pytest.mark.parametrize("refusal", [403, 404, 503])
def test_robots_txt_alone_is_refused(site: PracticeSite, refusal: int) -> None:
    site.tell(ILL, Behaviour(robots_status=refusal))
    assert [status(site, path="/robots.txt"), status(site)] == [refusal, 200]


def test_robots_txt_alone_is_never_answered(site: PracticeSite) -> None:
    site.tell(ILL, Behaviour(robots_status=NEVER))
    assert status(site) == 200
    with pytest.raises(TimeoutError):
        ask(site, ILL, "/robots.txt", timeout_s=0.1)


def test_a_host_that_refuses_its_pages_can_have_a_robots_txt_of_its_own(site: PracticeSite) -> None:
    # Given a host with a robots.txt of several lines
    robots = "User-agent: *\nCrawl-delay: 2.5\nDisallow: /graph/3?a=b&c\nSitemap: http://x/ü.xml\n"
    site.tell(ILL, Behaviour(status=503, robots_status=200, robots=robots))
    # When it is asked for it, Then it comes as it was told, and that of the other host as ever
    assert ask(site, ILL, "/robots.txt")[::2] == (200, robots)
    assert ask(site, WELL, "/robots.txt")[2].startswith("User-agent: *\nDisallow: /traps/")
    assert status(site) == 503


def test_a_host_takes_its_own_time_for_pages_and_refusals(site: PracticeSite) -> None:
    for behaviour in (Behaviour(latency_ms=200), Behaviour(latency_ms=200, status=429)):
        site.tell(ILL, behaviour)
        started_s = time.monotonic()
        assert status(site) == behaviour.status
        assert time.monotonic() - started_s >= 0.2
    started_s = time.monotonic()
    assert status(site, WELL) == 200
    assert time.monotonic() - started_s < 0.2


def test_visits_tell_who_asked_and_what_was_answered_robots_txt_included(site: PracticeSite) -> None:
    site.tell(ILL, Behaviour(status=429, requests=1))
    for path in ("/graph/1", "/robots.txt", "/graph/nothing"):
        status(site, path=path)
    visits = [(visit.path, visit.status) for visit in site.visits()]
    assert visits == [("/graph/1", 429), ("/robots.txt", 200), ("/graph/nothing", 404)]
    asked = {(visit.host, visit.agent) for visit in site.visits()}
    assert asked == {(f"{ILL}:{urlsplit(site.url).port}", "tester")}


def test_a_host_behaves_as_told_from_the_start(tmp_path: Path) -> None:
    behaviours = {ILL: Behaviour(status=429, retry_after="3"), "127.0.0.3": Behaviour(status=410)}
    with practice_site(tmp_path, hosts=(WELL, *behaviours), behaviours=behaviours) as site:
        assert [status(site, host) for host in (WELL, *behaviours)] == [200, 429, 410]


@pytest.mark.parametrize(
    ("behaviour", "complaint"),
    [
        (Behaviour(status=99), "status=99 can't be: it must be a number from 0, a status one of HTTP"),
        (Behaviour(status=100), "status=100 can't be"),
        (Behaviour(for_s=-1), "for_s=-1 can't be"),
        (Behaviour(latency_ms=-1), "latency_ms=-1 can't be"),
    ],
)
def test_what_can_not_be_is_refused_in_a_sentence_at_start_and_later(
    site: PracticeSite, tmp_path: Path, behaviour: Behaviour, complaint: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        site.tell(ILL, behaviour)
    (tmp_path / "another").mkdir()
    with (
        pytest.raises(ServerError, match=re.escape(complaint)),
        practice_site(tmp_path / "another", behaviours={ILL: behaviour}),
    ):
        pass


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("status=429", "status=429 names no host: begin with host=127.0.0.2"),
        ("host=127.0.0.2&stats=429", "stats is not one of host, status, retry_after, for_s"),
    ],
)
def test_a_query_that_says_nothing_useful_is_answered_with_what_is_wrong(
    site: PracticeSite, query: str, complaint: str
) -> None:
    refused, _, sentence = ask(site, WELL, f"/__tell?{query}")
    assert refused == 400
    assert sentence.startswith(complaint)
