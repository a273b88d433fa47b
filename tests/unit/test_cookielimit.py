"""A site can't make each request to it dearer than the one before by ever more cookies."""

from __future__ import annotations

import asyncio
import inspect

from scrapy import Request
from scrapy.http import Response

from crawlers.scheduler.cookielimit import MOST_COOKIES
from crawlers.scheduler.cookies import SharedCookies

URL = "http://www.host.example/dir/page"


def test_of_a_domain_the_youngest_cookies_are_kept() -> None:
    # Given a site whose every answer sets further cookies, for its host and the domain above
    middleware, request = SharedCookies(), Request(URL)
    # When twenty of them have come
    for answer in range(20):
        lines = [f"c{answer}-{n}=v; Path=/{n % 3}" for n in range(50)]
        lines += [f"d{answer}-{n}=v; Domain=host.example; Path=/" for n in range(50)]
        kept = middleware.process_response(request, Response(URL, headers={"Set-Cookie": lines}))
        if inspect.iscoroutine(kept):
            asyncio.run(kept)
    # Then as many stay of each as in browsers, the youngest among them
    cookies = list(middleware.jars[None].jar)
    assert len(cookies) == 2 * MOST_COOKIES
    assert {f"d19-{n}" for n in range(50)} <= {cookie.name for cookie in cookies}
