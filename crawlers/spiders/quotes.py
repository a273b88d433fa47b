"""quotes.toscrape.com, and every site of its layout."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from scrapy import Request
from scrapy.http import HtmlResponse, Response
from scrapy.settings import SETTINGS_PRIORITIES

from crawlers.items import Quote
from crawlers.links import Links

from .arguments import ArgumentSpider, start_urls
from .htmlpage import host_port

START = "http://quotes.toscrape.com/"
"""Where it begins unless told otherwise."""


class QuotesSpider(ArgumentSpider):
    """Collects quotes from listings, following their next pages and tags on the same host.

        scrapy crawl quotes
        scrapy crawl quotes -a url=http://127.0.0.1:8000/

    Where MAX_IDLE_TIME_BEFORE_CLOSE is set it waits for URLs that are pushed, and without `url`
    starts with none of its own.
    """

    name = "quotes"
    redis_key = "start_urls"

    def __init__(self, url: str = "", **kwargs: Any) -> None:
        """Raises :class:`BadArgument` for a `url` that is none."""
        super().__init__(**kwargs)
        self.start_urls = start_urls(url)

    async def start(self) -> AsyncIterator[Any]:
        """The first requests, if any."""
        waits = (self.settings.getpriority("MAX_IDLE_TIME_BEFORE_CLOSE") or 0) > _DEFAULT
        for url in self.start_urls or ([] if waits else [START]):
            yield Request(url, callback=self.parse, dont_filter=True)

    def parse(self, response: Response) -> Iterator[Quote | Links]:
        """The quotes of a listing, then the listings that it leads to."""
        if not isinstance(response, HtmlResponse):
            self.logger.warning("%s is no HTML, so there are no quotes in it", response.url)
            return
        for quote in response.css("div.quote"):
            # What is missing is None, and set aside by the validation.
            yield Quote(
                text=quote.css("span.text::text").get(),  # type: ignore[arg-type]
                author=quote.css("small.author::text").get(),  # type: ignore[arg-type]
                tags=quote.css("div.tags a.tag::text").getall(),
                url=response.url,
            )
        links = Links.of(response, self.parse, css="li.next a, a.tag")
        links.urls = [url for url in links.urls if host_port(url) == host_port(response.url)]
        yield links


_DEFAULT = SETTINGS_PRIORITIES["default"]
