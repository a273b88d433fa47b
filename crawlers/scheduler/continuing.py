"""A page that goes on in another request: a redirect, a meta refresh, what a middleware returns in its place.

Where that request is one that the page has been already, the seen set would drop it because of the page
itself, and the page would end without a word. So such a request is sent, a bounded number of times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.utils.request import RequestFingerprinterProtocol

AGAIN = "frontier_again"
"""In a request's meta: [URL, times], how often a middleware has put it in the place of itself."""

_URLS = "redirect_urls"  # Scrapy's: in the meta of a redirect, where its page came along


class Circle(Exception):
    """A page leads to itself too often; the text says so for its dead letter."""


class Continuations:
    """Which request goes on with the page of which, while the engine is handed it.

    `most`: how often a page may come back to a request that it has been.
    """

    def __init__(self, fingerprinter: RequestFingerprinterProtocol, most: int) -> None:
        self._fingerprinter = fingerprinter
        self._most = most
        self._under_way: tuple[Request, Request] | None = None

    def hear(self, request: Request, page: Request, hand_over: Callable[[], Any]) -> Any:
        """`hand_over()` gives the engine `request`, which goes on with the page of `page`."""
        self._under_way = request, page
        try:
            return hand_over()
        finally:
            self._under_way = None

    def page_of(self, request: Request) -> Request | None:
        """The request that `request` takes the place of; None where it is a link of its own."""
        if self._under_way is None or self._under_way[0] is not request:
            return None
        return self._under_way[1]

    def comes_back(self, request: Request, page: Request) -> bool:
        """Whether the page of `page` has been `request` before. Raises :class:`Circle` beyond the bound.

        A retry, which asks for no deduplication and has a bound of its own, doesn't come back.
        """
        is_redirect = request.meta.get("redirect_times", 0) != page.meta.get("redirect_times", 0)
        if request.dont_filter and not is_redirect:
            return False
        times = times_been(self._fingerprinter, request, page)
        if not times:
            return False
        if not is_redirect:
            times += _times_again(page)
            request.meta[AGAIN] = [request.url, times]
        if times > self._most:
            way = " -> ".join([*_way(page), request.url][-5:])[:400]
            raise Circle(f"it leads to itself {times} times, FRONTIER_PAGE_RETURNS is {self._most}: {way}")
        return True


def times_been(fingerprinter: RequestFingerprinterProtocol, request: Request, page: Request) -> int:
    """How many of the requests that the page of `page` has been are the same as `request`."""
    fingerprint = fingerprinter.fingerprint
    wanted = fingerprint(request)
    before = (fingerprint(page.replace(url=url)) for url in _way(page)[:-1])
    return (fingerprint(page) == wanted) + sum(each == wanted for each in before)


def _way(page: Request) -> list[str]:
    """The URLs by which a page came, and that which it is at. Each was the URL of a request."""
    return [*page.meta.get(_URLS, ()), page.url]


def _times_again(page: Request) -> int:
    said = page.meta.get(AGAIN)
    return said[1] if said and said[0] == page.url else 0
