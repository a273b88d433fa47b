"""Which of a page's links a user wants, by patterns that a site can't make take for ever."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import regex  # type: ignore[import-untyped]  # it ships no types

MATCH_S = 0.1
"""Seconds of CPU for a pattern on one URL; a sound one takes some 5 µs."""
_PAGE_S = 0.5  # on all URLs of a page, and besides
_EACH_S = 50e-6  # on each of them


class Choice:
    """The URLs in which `allow` is found, or any without one, and `deny` is not."""

    def __init__(self, allow: regex.Pattern[str] | None, deny: regex.Pattern[str] | None) -> None:
        self._allow = allow
        self._deny = deny

    def of(self, urls: Iterable[str]) -> tuple[list[str], dict[str, str]]:
        """Those of a page's `urls` that are wanted, and those of which that can't be told, each with why."""
        urls = list(urls)
        until_s = time.thread_time() + _PAGE_S + _EACH_S * len(urls)
        wanted: list[str] = []
        untold: dict[str, str] = {}
        for url in urls:
            try:
                if self._wants(url, until_s - time.thread_time()):
                    wanted.append(url)
            except _Slow as error:
                untold[url] = f"{error}: write it so that it can match in one way only"
        return wanted, untold

    def _wants(self, url: str, left_s: float) -> bool:
        if self._allow and not _found("allow", self._allow, url, left_s):
            return False
        return not (self._deny and _found("deny", self._deny, url, left_s))


class _Slow(Exception):
    """A pattern takes too long; the text says which."""


def _found(name: str, pattern: regex.Pattern[str], url: str, left_s: float) -> bool:
    if left_s <= 0:
        raise _Slow(f"not tried, for -a {name}={pattern.pattern[:200]} has taken too long on its page")
    try:
        return pattern.search(url, timeout=MATCH_S) is not None
    except TimeoutError:
        raise _Slow(f"-a {name}={pattern.pattern[:200]} takes longer than {MATCH_S:g} s on it") from None
