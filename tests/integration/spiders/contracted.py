"""A spider with a contract, for `scrapy check`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import scrapy
from scrapy.http import Response


class Contracted(scrapy.Spider):
    """Its callback says what it makes of a page that every machine has."""

    name = "contracted"
    custom_settings = {"ROBOTSTXT_OBEY": False}  # noqa: RUF012

    def parse(self, response: Response) -> Iterator[dict[str, Any]]:
        """One item.

        @url data:text/plain,here
        @returns items 1 1
        @scrapes url
        """
        yield {"url": response.url}
