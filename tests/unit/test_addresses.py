"""Which addresses are inside, and which hosts look so, in every way of writing them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from crawlers.scheduler.addresses import inside, looks_inside, of_host

INSIDE = {
    "a loopback": "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::127.0.0.1"
    " 2002:7f00:1::",
    "an unspecified": "0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0",
    "a private": "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 fc00::1 fd12::1 fec0::1 64:ff9b::10.0.0.1",
    "a link-local": "169.254.1.1 fe80::1 ::ffff:169.254.1.1",
    "a metadata": "169.254.169.254 169.254.170.2 fd00:ec2::254 100.100.100.200 192.0.0.192 168.63.129.16"
    " ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe",
    "a carrier's private": "100.64.0.1 100.127.255.255",
    "a multicast": "224.0.0.1 239.255.255.250 ff02::1 ff0e::1",
    "a reserved": "192.0.2.1 198.18.0.1 203.0.113.9 240.0.0.1 255.255.255.255 2001:db8::1 100::1 4000::1"
    " 64:ff9b:1::1 3fff::1 2001::1",
}
LOOPBACK = ["127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.1", "127.0.0.1."]
LOOPBACK += ["127.0.0.1..", "[::ffff:127.0.0.1]", "::ffff:7f00:1"]
OUTSIDE = "1.1.1.1 8.8.8.8 172.15.0.1 172.32.0.1 100.128.0.1 193.0.0.1 2606:4700::1111 2a00::1 ::ffff:8.8.8.8"
OUTSIDE += " 64:ff9b::8.8.8.8 2002:808:808::1"


@pytest.mark.parametrize("kind", INSIDE)
def test_an_inside_address_is_known_as_what_it_is(kind: str) -> None:
    # Given addresses of one kind, also within others, when they are looked at, then each is of that kind
    assert {text: inside(ip_address(text)) for text in INSIDE[kind].split()} == dict.fromkeys(
        INSIDE[kind].split(), kind
    )


def test_an_address_of_the_world_is_not_inside() -> None:
    # Given addresses next to inside ones, when they are looked at, then none is inside
    assert [text for text in OUTSIDE.split() if inside(ip_address(text))] == []


@pytest.mark.parametrize(
    ("host", "address"),
    [
        *((text, "127.0.0.1") for text in LOOPBACK),
        ("[fe80::1%25eth0]", "fe80::1"),
        ("FE80::1%eth0", "fe80::1"),
        ("localhost", None),
        ("1.2.3.4.5", None),
        ("256.1.1.1", None),
        ("example.com", None),
        ("", None),
    ],
)
def test_a_host_is_read_as_the_address_that_a_c_library_takes_it_for(host: str, address: str | None) -> None:
    # Given the host of a URL, when its address is read, then it is what a connection would go to
    assert of_host(host) == (address and ip_address(address))


def test_a_name_that_is_no_public_one_looks_inside() -> None:
    # Given hosts of both kinds
    inward = (
        "localhost LOCALHOST. a.localhost wiki wiki.corp printer.local db.internal nas.home.arpa 127.1 [::1]"
    )
    outward = (
        "example.com www.example.co.uk user.github.io 8.8.8.8 [2606:4700::1] example.com. xn--p1ai.xn--p1ai"
    )
    # When they are looked at, then only names that no public DNS knows, and inside addresses, look inside
    assert [host for host in inward.split() if not looks_inside(host)] == []
    assert [host for host in outward.split() if looks_inside(host)] == []
