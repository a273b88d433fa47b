"""How many cookies a site may have: each costs every later request to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy.http.cookies import CookieJar

MOST_COOKIES = 180
"""Of a domain, as in Chrome; RFC 6265, 6.1, asks for 50 at least."""


def keep_youngest(jar: CookieJar, domains: Iterable[str]) -> None:
    """Takes cookies beyond `MOST_COOKIES` of each of `domains` out of `jar`, the oldest of a path first."""
    for domain in domains:
        paths = jar._cookies.get(domain, {})
        beyond = sum(map(len, paths.values())) - MOST_COOKIES
        for names in paths.values():
            for name in list(names)[: max(beyond, 0)]:
                del names[name]
                beyond -= 1
