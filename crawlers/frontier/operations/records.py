"""The records in which the scripts keep what they know of a host, as an operator reads them."""

from __future__ import annotations

import re
from typing import NamedTuple

# As in hosts.lua and manners.lua.
_WORK = re.compile(rb"(-?\d{1,16}) (-?\d{1,16}|[*-])(?:$| \d+ \d+ ?([-,\d]*))")
_MANNERS = re.compile(
    rb"(\d{1,16}) (\d{1,16}) (\d{1,16}) (\d{1,16}) (\d{1,16}) (\d{1,16}) (\d{1,16}) (.*)", re.S
)


_POLICY = re.compile(rb"(\d{1,16}) (\d{1,16}) \d{1,16}")
_SPARES = re.compile(rb"(\S+) (\d{1,16})")


class Work(NamedTuple):
    """How many requests of a host are `active`. `only`: the priority of all that are queued; None where there
    are none, or where they may be of `several`. `deep`: the priorities of its deep queues.
    """

    active: int = 0
    only: int | None = None
    several: bool = False
    deep: tuple[int, ...] = ()


class Manners(NamedTuple):
    """When a host may be asked, in us and ms of Redis' own clock; failures in a row; why it is left alone."""

    next_us: int = 0
    robots_us: int = 0
    robots_ms: int = 0
    throttle_ms: int = 0
    strikes: int = 0
    rests: int = 0
    wake_us: int = 0
    why: str = ""


def parse_work(record: bytes | None) -> Work:
    """A host's field of `<base>:hosts`; of one that is missing or none of ours: nothing to do."""
    if not (found := _WORK.match(record or b"")):
        return Work()
    active, only, deep = found.groups()
    priorities = tuple(int(priority) for priority in (deep or b"").split(b",") if priority)
    return Work(int(active), None if only in b"*-" else int(only), only == b"*", priorities)


def parse_policy(record: bytes | None) -> tuple[int, int] | None:
    """The delay in ms and the limit that a host has of its own; None for none, or a field that isn't ours."""
    found = _POLICY.fullmatch(record or b"")
    return (int(found[1]), int(found[2])) if found else None


def parse_spares(text: bytes | None) -> dict[str, int]:
    """The `spares` of a worker's record: how many of its leases have no slot of their host, by host."""
    return {host.decode(errors="replace"): int(number) for host, number in _SPARES.findall(text or b"")}


def parse_manners(record: bytes | None) -> Manners:
    """The value of `{crawl}:manners:<host>`; of one that is missing or none of ours: nothing is known."""
    if re.fullmatch(rb"\d{1,16}", record or b""):
        return Manners(robots_us=int(record or 0))
    if not (found := _MANNERS.fullmatch(record or b"")):
        return Manners()
    *numbers, why = found.groups()
    next_us, robots_us, robots_ms, throttle_ms, strikes, rests, wake_us = map(int, numbers)
    return Manners(
        *(next_us, robots_us, robots_ms, throttle_ms, strikes, rests, wake_us), why.decode(errors="replace")
    )
