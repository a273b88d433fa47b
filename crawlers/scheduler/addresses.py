"""Which addresses lie inside: of this machine, its network or its cloud, and of no site.

By IANA's registries of special-purpose addresses (RFC 6890): what isn't globally reachable is inside, and so
are multicast and the addresses at which clouds tell machines their secrets.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from .hostkeys import suffix_of

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The first that holds an address says what it is.
_KINDS: tuple[tuple[str, tuple[Network, ...]], ...] = tuple(
    (kind, tuple(ip_network(network) for network in networks.split()))
    for kind, networks in (
        # Of AWS, Google and Azure; of AWS by IPv6; of Alibaba; of Oracle; Azure's, amid public addresses.
        (
            "a metadata",
            "169.254.169.254 169.254.170.2 fd00:ec2::254 100.100.100.200 192.0.0.192 168.63.129.16",
        ),
        ("a loopback", "127.0.0.0/8 ::1"),
        ("an unspecified", "0.0.0.0/8 ::"),
        ("a private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10"),
        ("a link-local", "169.254.0.0/16 fe80::/10"),
        ("a carrier's private", "100.64.0.0/10"),
        ("a multicast", "224.0.0.0/4 ff00::/8"),
        ("a reserved", "192.0.0.0/24 192.0.2.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4"),
        ("a reserved", "64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 3fff::/20 5f00::/16"),
    )
)
_GLOBAL = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")


def inside(address: Address) -> str:
    """What kind of inside address it is, such as "a loopback"; empty for one of the world's."""
    inner = embedded(address)
    if inner is not None and inner != address:
        return inside(inner)
    for kind, networks in _KINDS:
        if any(address in network for network in networks):
            return kind
    return "" if address.version == 4 or address in _GLOBAL else "a reserved"


def embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address to which packets to an IPv6 `address` go: mapped (RFC 4291), NAT64 (RFC 6052), 6to4
    (RFC 3056), Teredo (RFC 4380), or of the form ``::1.2.3.4``.
    """
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def read(text: str) -> Address | None:
    """The address that `text` is as a resolver gives it; None where it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def of_host(host: str) -> Address | None:
    """The address that the host of a URL stands for without DNS, in any spelling that a C library takes for
    one: ``127.1``, ``0x7f.1``, ``2130706433``, ``::ffff:127.0.0.1``.
    """
    host = named(host)
    if address := read(host.replace("%25", "%")):
        return address
    try:
        return IPv4Address(socket.inet_aton(host)) if host.isascii() and host[:1].isdigit() else None
    except OSError:
        return None


def named(host: str) -> str:
    """`host` without brackets and the dots at its end, in lower case: one name for what is one host."""
    return host.lower().strip("[]").rstrip(".")


@lru_cache(maxsize=10_000)
def looks_inside(host: str) -> bool:
    """No DNS of the world's says where `host` is: it is an inside address itself, or a name that is no public
    one, such as ``localhost``, ``wiki``, ``printer.local``. Whoever writes it means the inside.
    """
    host = named(host)
    before, _, last = host.rpartition(".")
    if (":" in host or last[:1].isdigit()) and (address := of_host(host)):
        return bool(inside(address))
    return not before or not _is_public(last) or f".{host}".endswith(".home.arpa")


@lru_cache(maxsize=10_000)
def _is_public(label: str) -> bool:
    return bool(suffix_of(f"any.{label}"))
