"""Scrapy's middlewares for redirects, which take what sites send as browsers do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy import Request
from scrapy.downloadermiddlewares.redirect import (
    BaseRedirectMiddleware,
    MetaRefreshMiddleware,
    RedirectMiddleware,
)
from scrapy.exceptions import IgnoreRequest
from scrapy.http import HtmlResponse

from .continuing import times_been
from .refresh import Refresh, declared_refresh

if TYPE_CHECKING:
    from scrapy.http import Response

NO_END = "max redirections reached"
"""How Scrapy's reason begins for a request that it lets go of after REDIRECT_MAX_TIMES."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_COOKIES = 50  # that go along with a page which is sent to itself, as many as browsers keep of a site


class _Redirecting(BaseRedirectMiddleware):
    """What both have in common."""

    def _redirect(self, redirected: Request, request: Request, reason: Any) -> Request:
        try:
            return super()._redirect(redirected, request, reason)
        except IgnoreRequest:
            raise IgnoreRequest(f"{NO_END}, the next is {redirected.url[:400]}") from None

    def _times_been(self, onward: Request, request: Request) -> int:
        fingerprinter = self.crawler.request_fingerprinter
        assert fingerprinter is not None
        return times_been(fingerprinter, onward, request)


class Redirects(_Redirecting, RedirectMiddleware):
    """Scrapy's RedirectMiddleware. A `Location` that is no URL is none, and its answer goes to the spider.

    The cookies of an answer that sends a page to itself go along, for another worker may be the next.
    """

    def process_response(  # type: ignore[override]  # who takes a spider is warned by Scrapy
        self, request: Request, response: Response
    ) -> Request | Response:
        """Scrapy's call."""
        if response.status not in _REDIRECTS:
            return response
        try:
            onward = super().process_response(request, response)
        except ValueError:
            assert self.crawler.stats is not None
            self.crawler.stats.inc_value("frontier/bad_location")
            return response
        if isinstance(onward, Request) and self._times_been(onward, request):
            _take_cookies(onward, response)
        return onward


class MetaRefresh(_Redirecting, MetaRefreshMiddleware):
    """Scrapy's MetaRefreshMiddleware, but what is a refresh is told as the HTML standard does.

    A refresh to what the page has been is followed if the answer sets cookies, or once if it is to be
    without delay. Otherwise it is a page that shows itself again and again, and so the page.
    """

    def process_response(  # type: ignore[override]  # who takes a spider is warned by Scrapy
        self, request: Request, response: Response
    ) -> Request | Response:
        """Scrapy's call."""
        if not isinstance(response, HtmlResponse) or request.method == "HEAD":
            return response
        if request.meta.get("dont_redirect", False):
            return response
        refresh = declared_refresh(response, self._ignore_tags)
        if refresh is None or refresh.delay_s >= self._maxdelay:
            return response
        onward = self._redirect_request_using_get(request, response, refresh.url)
        times = self._times_been(onward, request)
        if times > self._most_times(refresh, response):
            return response
        if times:
            _take_cookies(onward, response)
        return self._redirect(onward, request, "meta refresh")

    def _most_times(self, refresh: Refresh, response: Response) -> int:
        most = self.crawler.settings.getint("FRONTIER_PAGE_RETURNS")
        if b"Set-Cookie" in response.headers:
            return most
        return min(most, 1) if refresh.delay_s == 0 and refresh.names_url else 0


def _take_cookies(onward: Request, response: Response) -> None:
    """The cookies that `response` sets, for a request to where they were set."""
    for line in response.headers.getlist(b"Set-Cookie")[:_MOST_COOKIES]:
        pair, _, attributes = line.decode("latin-1").partition(";")
        name, equals, value = pair.strip().partition("=")
        if name and equals and "max-age=0" not in attributes.lower():
            onward.cookies[name.strip()] = value.strip()  # type: ignore[call-overload]
