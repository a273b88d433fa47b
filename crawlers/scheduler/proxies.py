"""The proxies through which a crawl goes: which there are, and which of them are well.

An exit is a proxy's host and port. Lines that name one exit with several users are used in turn. Users and
passwords are kept apart from its name, which is all that is ever shown.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from w3lib.http import basic_auth_header

_PATIENCE = 3  # an exit rests after so many failures in a row that may have been those of sites
_POINTS = 64  # of each exit on the ring; its share of the URLs is within some 25 % of the mean

_HOST = re.compile(r"[0-9a-z._:-]+")


class Address(NamedTuple):
    """A proxy as it was written down: its exit, its URL without user and password, and these as a header."""

    exit: str
    url: str
    authorization: bytes | None


class NotAProxy(ValueError):
    """A line that isn't the URL of a proxy; the text shows nothing of it, for it may hold a password."""


def address_of(line: str, encoding: str = "latin-1") -> Address:
    """Reads ``http://user:password@host:port``, of which all but host and port may be left out.

    Raises :class:`NotAProxy`.
    """
    try:
        parts = urlsplit(line if "://" in line else f"http://{line}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if (
        not _HOST.fullmatch(host)
        or not port
        or parts.scheme not in ("http", "https")
        or parts.path.strip("/")
    ):
        raise NotAProxy("not http://user:password@host:port")
    exit_ = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    authorization = None
    if parts.username:
        user, password = unquote(parts.username), unquote(parts.password or "")
        authorization = basic_auth_header(user, password, encoding)
    return Address(exit_, f"{parts.scheme}://{exit_}", authorization)


@dataclass(frozen=True, slots=True)
class BackOff:
    """An exit rests for `first_s`, twice as long each time in a row, `most_s` at most."""

    first_s: float
    most_s: float


class Exit:
    """One exit and how it fared. All moments are seconds of one clock, told by who calls.

    After a rest it is tried by one request; others leave it alone until that has been answered, or for as
    long as it has just rested.
    """

    def __init__(self, name: str, back_off: BackOff) -> None:
        self.name = name
        self.addresses: deque[Address] = deque()
        self.well_at_s = 0.0
        """From then on it may be used."""
        self._back_off = back_off
        self._rest_s = 0.0
        self._rested_at_s = float("-inf")
        self._answered_at_s = float("-inf")
        self._failures = 0

    def take(self, now_s: float) -> Address:
        """The address for a request that goes out now."""
        if self._rest_s:
            self.well_at_s = now_s + self._rest_s
        self.addresses.rotate(-1)
        return self.addresses[-1]

    def answered(self, since_s: float, now_s: float) -> None:
        """A request that went out at `since_s` was answered."""
        self._answered_at_s = now_s
        if since_s >= self._rested_at_s:
            self._failures, self._rest_s, self.well_at_s = 0, 0.0, 0.0

    def failed(self, since_s: float, now_s: float, *, surely: bool) -> bool:
        """Whether this exit is to blame for the failure of a request that went out at `since_s`.

        It `surely` is where it could not be reached itself. Else not if it has answered anything since, nor
        for the first failure after an answer: that may be the site's.
        """
        if not surely and self._answered_at_s >= since_s:
            return False
        if since_s >= self._rested_at_s:  # who was under way when the rest began tells nothing new
            self._failures += 1
            if surely or self._failures >= _PATIENCE:
                self._rest(now_s)
        return surely or self._failures > 1

    def _rest(self, now_s: float) -> None:
        self._rest_s = min(self._rest_s * 2 or self._back_off.first_s, self._back_off.most_s)
        self._rested_at_s, self.well_at_s = now_s, now_s + self._rest_s

    @property
    def rest_s(self) -> float:
        """How long its last rest was, 0 if it has answered since."""
        return self._rest_s


class Exits:
    """All exits of a worker, in turn. `clock` gives seconds."""

    def __init__(self, back_off: BackOff, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._back_off = back_off
        self._of_name: dict[str, Exit] = {}
        self._turn: deque[Exit] = deque()
        self._ring: list[tuple[int, Exit]] = []

    def __len__(self) -> int:
        return len(self._of_name)

    def replace(self, addresses: Iterable[Address]) -> tuple[int, int]:
        """From now on it is these. An exit that stays keeps what is known of it. How many came and went."""
        found: dict[str, Exit] = {}
        users: dict[str, dict[Address, None]] = {}
        for address in addresses:
            name = address.exit
            if name not in found:
                found[name] = self._of_name.get(name) or Exit(name, self._back_off)
            users.setdefault(name, {})[address] = None
        for name, exit_ in found.items():
            exit_.addresses = deque(users[name])
        gone, came = self._of_name.keys() - found.keys(), found.keys() - self._of_name.keys()
        self._of_name = found
        if gone or came:
            self._turn = deque(found.values())
            points = ((point, exit_) for exit_ in found.values() for point in _points(exit_.name))
            self._ring = sorted(points, key=_point)
        return len(came), len(gone)

    def next_well(self) -> Exit | None:
        """The next in turn that is well."""
        now_s = self.clock()
        for _ in range(len(self._turn)):
            self._turn.rotate(-1)
            if self._turn[-1].well_at_s <= now_s:
                return self._turn[-1]
        return None

    def well(self, name: str) -> Exit | None:
        """The exit of that name, if there is one and it is well."""
        found = self._of_name.get(name)
        return found if found and found.well_at_s <= self.clock() else None

    def wait_s(self) -> float:
        """Until the first of them is well, 0: one is; for ever where there is none."""
        first_s = min((exit_.well_at_s for exit_ in self._of_name.values()), default=float("inf"))
        return max(0.0, first_s - self.clock())

    def of_url(self, url: str) -> Exit | None:
        """The exit for a URL, the same in each worker; the next one while that rests.

        Consistent hashing (Karger et al., STOC 1997): where one comes or goes, others keep their URLs.
        """
        now_s = self.clock()
        first = None
        for exit_ in self._from(url):
            if exit_.well_at_s <= now_s:
                return exit_
            first = first or exit_
        return first

    def _from(self, url: str) -> Iterator[Exit]:
        start = bisect(self._ring, _hash(url), key=_point)
        for number in range(len(self._ring)):
            yield self._ring[(start + number) % len(self._ring)][1]


def _point(pair: tuple[int, Exit]) -> int:
    return pair[0]


def _points(name: str) -> list[int]:
    return [_hash(f"{number} {name}") for number in range(_POINTS)]


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest(), "big")
