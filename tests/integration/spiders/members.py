"""A spider that logs in, and sees of each page whether it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy
from scrapy import FormRequest, Request
from scrapy.http import Response


class Members(scrapy.Spider):
    """The tutorial's login, then all pages that the members' page links to."""

    name = "members"

    def __init__(self, url: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.url = url

    async def start(self) -> AsyncIterator[Request]:
        """The login, by whichever worker."""
        yield FormRequest(f"{self.url}login", formdata={"name": "me"}, callback=self.logged_in)

    def logged_in(self, response: Response) -> Iterator[Request]:
        """On to the members' pages."""
        yield from response.follow_all(css="a", callback=self.page)

    def page(self, response: Response) -> Iterator[dict[str, Any]]:
        """One item a page."""
        yield {"url": response.url, "who": response.text}
