"""All the pages of a site."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from scrapy.http import HtmlResponse, Response

from crawlers.items import Page
from crawlers.links import Links, origin

from .arguments import ArgumentSpider, BadArgument, number, pattern, start_urls
from .choice import Choice
from .htmlpage import HtmlPage, host_port

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

_AT_ONCE = 500  # links of a large page before the loop sees to others; they take some 10 ms


class PagesSpider(ArgumentSpider):
    """One :class:`Page` for each page it fetches, whatever its status, and on to those it links to.

        scrapy crawl pages -a url=https://docs.example.com/ -a deny='/archive/'

    | argument | default | meaning |
    | --- | --- | --- |
    | `url` | none | where to start; several separated by commas or whitespace |
    | `follow` | `host` | `host`: links to the host and port of the page itself; `none`: no links |
    | `allow` | all | a regular expression; followed are only URLs in which it is found |
    | `deny` | none | a regular expression; URLs in which it is found are not followed |
    | `depth` | 0 | how many links away from a start; 0 is no limit |

    URLs that are pushed bring their hosts along: a link stays on the host it was found on, and
    nothing else needs to be known. A page that redirected to another host than was asked is kept,
    but its links are not followed; `www.` in front and the step to https do not make it another.
    """

    name = "pages"
    custom_settings = {  # noqa: RUF012  # as Scrapy declares it
        "HTTPERROR_ALLOW_ALL": True,
        # Scrapy drops links of more than 2,083 characters; servers take 8,000 (RFC 9110, 4.1).
        "URLLENGTH_LIMIT": 8000,
    }

    most_loop_bytes = 1_000_000
    """PAGES_LOOP_BYTES: a larger page is read in a thread, one at a time; 0: none is."""
    most_parsed_bytes = 8_000_000
    """PAGES_MAX_PARSED_BYTES: HTML beyond is stored without what only parsing tells; 0: no limit."""

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        """Scrapy's way to make one."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.most_loop_bytes = crawler.settings.getint("PAGES_LOOP_BYTES", cls.most_loop_bytes)
        most_parsed = crawler.settings.getint("PAGES_MAX_PARSED_BYTES", cls.most_parsed_bytes)
        spider.most_parsed_bytes = most_parsed
        return spider

    def __init__(
        self,
        url: str = "",
        follow: str = "host",
        allow: str = "",
        deny: str = "",
        depth: str = "0",
        **kwargs: Any,
    ) -> None:
        """Raises :class:`BadArgument`."""
        super().__init__(**kwargs)
        if follow not in ("host", "none"):
            raise BadArgument(f"-a follow={follow}: it must be host or none")
        self.start_urls = start_urls(url)
        self._follow = follow == "host"
        self._choice = Choice(pattern("allow", allow), pattern("deny", deny))
        self._depth = number("depth", depth)
        # One thread: a tree takes many times the memory of its page, and malloc keeps that for each thread.
        self._reader = ThreadPoolExecutor(1, "large-page")

    def parse(self, response: Response) -> Iterator[Page | Links] | AsyncIterator[Page | Links]:
        """The page, then the pages it leads to. A large one is read in a thread, so that others go on.

        HTML too large to be parsed is stored without title, text and links, and its URL becomes a dead
        letter: what it links to isn't known.
        """
        if isinstance(response, HtmlResponse) and 0 < self.most_parsed_bytes < len(response.body):
            return self._unread(response)
        is_large = 0 < self.most_loop_bytes < len(response.body)
        return self._in_thread(response) if is_large else self._at_once(response)

    def _at_once(self, response: Response) -> Iterator[Page | Links]:
        page, links = self._read(response)
        yield page
        yield links

    def _unread(self, response: Response) -> Iterator[Page | Links]:
        reason = (
            f"a page of {len(response.body)} bytes, more than PAGES_MAX_PARSED_BYTES"
            f" ({self.most_parsed_bytes}): stored without title, text and links, which are not followed"
        )
        logger.warning("%s: %s", response.url, reason)
        yield _page(response)
        yield Links([], set_aside={response.url: reason})

    async def _in_thread(self, response: Response) -> AsyncIterator[Page | Links]:
        loop = asyncio.get_running_loop()
        page, links = await loop.run_in_executor(self._reader, self._read, response)
        yield page
        yield Links([], set_aside=links.set_aside)
        for part in range(0, len(links.urls), _AT_ONCE):
            yield Links(links.urls[part : part + _AT_ONCE], self.parse)
            await asyncio.sleep(0)

    def _read(self, response: Response) -> tuple[Page, Links]:
        html = HtmlPage(response)
        found = html.links()
        page = _page(response, html.title(), html.text_length(), len(found))
        if not self._goes_on_from(response):
            return page, Links([])
        home, host = f"{origin(response.url)}/", host_port(response.url)
        here = (link for link in found if link.startswith(home) or host_port(link) == host)
        wanted, untold = self._choice.of(here)
        return page, Links(wanted, self.parse, set_aside=untold)

    def _goes_on_from(self, response: Response) -> bool:
        if not self._follow or response.status >= 400:
            return False
        if self._depth and response.meta.get("depth", 0) >= self._depth:
            return False
        asked = response.meta.get("redirect_urls", [response.url])[0]
        return _site(asked) == _site(response.url)


def _page(response: Response, title: str | None = None, text_length: int = 0, links: int = 0) -> Page:
    return Page(
        url=response.url,
        status=response.status,
        title=title,
        text_length=text_length,
        links=links,
        content_type=_content_type(response),
        fetched_at=datetime.now(UTC),
        depth=response.meta.get("depth", 0),
        referrer=_referrer(response),
    )


def _site(url: str) -> tuple[str, int]:
    """The host and port, with all that usually redirects to one another made equal."""
    host, port = host_port(url)
    return host.removeprefix("www."), 80 if port == 443 else port


def _content_type(response: Response) -> str | None:
    header = response.headers.get("Content-Type") or b""
    return header.decode("latin-1").partition(";")[0].strip().lower() or None


def _referrer(response: Response) -> str | None:
    request = response.request
    header = request.headers.get("Referer") if request else None
    return header.decode("latin-1") if header else None
