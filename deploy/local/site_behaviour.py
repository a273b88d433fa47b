"""How each host of the practice site behaves: refusing, silent, slow, with a robots.txt of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from .site_answer import Answer, Ending

NEVER = 0
"""In place of a status: the request is taken, and nothing is ever answered."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a host does instead of serving its pages well, which is the default.

    `status` answers every request until `for_s` seconds have passed since it was told so (0: no
    such limit) or `requests` requests were answered with it (0: no such limit). `retry_after` is
    that header of such answers as it is: seconds, an HTTP date, or rubbish; empty: none.

    robots.txt is answered as pages are, or with `robots_status` where that is given. `robots` is
    its text, None: the site's own. `latency_ms` comes on top of the site's, for every answer.
    """

    status: int = HTTPStatus.OK
    retry_after: str = ""
    for_s: float = 0
    requests: int = 0
    robots_status: int | None = None
    robots: str | None = None
    latency_ms: int = 0

    def query(self, host: str) -> str:
        """The behaviour of `host` as `behaviour_of` reads it."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return urlencode({"host": host, **{name: value for name, value in told.items() if value is not None}})


def behaviour_of(query: str) -> tuple[str, Behaviour]:
    """A host and its behaviour: `host=127.0.0.2&status=429&retry_after=3`, fields as above.

    Raises ValueError with a sentence for the one who wrote it.
    """
    given = dict(parse_qsl(query, keep_blank_values=True))
    host = given.pop("host", "")
    if not host:
        raise ValueError(f"{query} names no host: begin with host=127.0.0.2")
    return host, Behaviour(**{name: _read(name, text) for name, text in given.items()})


def _read(name: str, text: str) -> Any:
    if name not in _READ:
        raise ValueError(f"{name} is not one of host, {', '.join(_READ)}")
    try:
        return _READ[name](text)
    except ValueError:
        raise ValueError(
            f"{name}={text} can't be: it must be a number from 0, a status one of HTTP"
        ) from None


def _status(text: str) -> int:
    status = int(text)
    if status != NEVER and HTTPStatus(status) < HTTPStatus.OK:  # an answer would have to follow
        raise ValueError
    return status


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError
    return int(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds


_READ: dict[str, Callable[[str], Any]] = {
    "status": _status,
    "retry_after": str,
    "for_s": _seconds,
    "requests": _count,
    "robots_status": _status,
    "robots": str,
    "latency_ms": _count,
}


class Behaviours:
    """What every host was told last."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Told] = {}

    def tell(self, host: str, behaviour: Behaviour) -> None:
        """From now on `host`, a name or an address without a port, behaves so."""
        self._hosts[host] = _Told(behaviour)

    def answer(self, host: str, path: str) -> tuple[Answer | None, int]:
        """What a host (as in a Host header) answers in place of the site, and its latency in ms.

        None leaves the answer to the site. Asking counts as a request.
        """
        told = self._hosts.get(urlsplit(f"//{host}").hostname or "") if self._hosts else None
        if told is None:
            return None, 0
        answer = told.to_robots() if path == "/robots.txt" else told.to_page()
        return answer, told.behaviour.latency_ms


class _Told:
    """A behaviour, and how much of it is left."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self._end_s = time.monotonic() + behaviour.for_s if behaviour.for_s else float("inf")
        self._left = behaviour.requests or float("inf")

    def to_page(self) -> Answer | None:
        if self._left < 1 or time.monotonic() >= self._end_s:
            return None
        self._left -= 1
        return _refusal(self.behaviour.status, self.behaviour.retry_after)

    def to_robots(self) -> Answer | None:
        status = self.behaviour.robots_status
        refused = self.to_page() if status is None else _refusal(status)
        if refused:
            return refused
        if self.behaviour.robots is None:
            return None
        return Answer(body=self.behaviour.robots.encode(), content_type="text/plain")


def _refusal(status: int, retry_after: str = "") -> Answer | None:
    """The answer with this status, None for 200."""
    if status == HTTPStatus.OK:
        return None
    if status == NEVER:
        return Answer(ending=Ending.SILENCE)
    return Answer(status=status, headers=(("Retry-After", retry_after),) if retry_after else ())
