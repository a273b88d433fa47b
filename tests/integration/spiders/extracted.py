"""A spider as Scrapy's users write them: a link extractor, `follow_all`, and what the text of a page says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import scrapy
from scrapy.http import Response
from scrapy.linkextractors import LinkExtractor


class Extracted(scrapy.Spider):
    """`-a url=START`: the title of each page, and on to all that it leads to."""

    name = "extracted"
    custom_settings = {"ITEM_PIPELINES": {}}  # noqa: RUF012

    def __init__(self, url: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_urls = [url]

    def parse(self, response: Response) -> Iterator[Any]:
        """The page, then its links."""
        title = response.css("title::text").get()
        yield {"url": response.url, "title": title, "length": len(response.text)}
        for link in LinkExtractor().extract_links(response):
            yield response.follow(link)
        yield from response.follow_all(css="a.next")
