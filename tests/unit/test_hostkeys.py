"""What shares a delay: a host, a registered domain, or an address."""

from __future__ import annotations

import asyncio

import pytest
from scrapy import Request

from crawlers.frontier.operations.crawl import is_at
from crawlers.scheduler.hostkeys import HostKeys, domain_of, host_of


@pytest.mark.parametrize(
    ("url", "host", "domain"),
    [
        ("http://www.Example.com:8080/a", "www.example.com", "example.com"),
        ("https://a.b.example.co.uk/", "a.b.example.co.uk", "example.co.uk"),
        ("http://127.0.0.1:6800/", "127.0.0.1", "127.0.0.1"),
        ("http://[::1]/", "::1", "::1"),
        ("http://localhost/", "localhost", "localhost"),
        ("data:,x", "data", "data"),
    ],
)
def test_a_request_is_queued_under_its_host_or_its_registered_domain(
    url: str, host: str, domain: str
) -> None:
    # Given a request, when it is asked where it belongs, then ports and sub-domains don't count
    request = Request(url)
    assert (host_of(request), domain_of(host)) == (host, domain)
    assert HostKeys("domain").of(request) == domain


def test_all_names_of_an_address_stand_for_the_same() -> None:
    # Given names of this machine, and one that doesn't exist
    keys = HostKeys("ip")
    assert keys.final("localhost") == "localhost"
    # When they are looked up
    asyncio.run(keys.find(["localhost", "127.0.0.1", "nowhere.invalid"]))
    # Then names have their address, and what has none stands for itself
    assert keys.final("localhost") == keys.final("127.0.0.1") == "127.0.0.1"
    assert keys.final("nowhere.invalid") == "nowhere.invalid"


@pytest.mark.parametrize(
    ("host", "url", "fits"),
    [
        ("www.example.com", "http://www.example.com/", True),
        ("example.com", "http://www.example.com/", True),
        ("10.0.0.1", "http://www.example.com/", True),
        ("2001:db8::1", "http://www.example.com/", True),
        ("other.com", "http://www.example.com/", False),
        ("ample.com", "http://www.example.com/", False),
        ("10.0.0.1", "nonsense", False),
    ],
)
def test_a_url_is_told_from_one_that_can_not_be_queued_under_a_host(host: str, url: str, fits: bool) -> None:
    # Given a URL and the name of a queue, when it is asked whether they fit, then only true ones do
    assert is_at(host, url) is fits
