"""A spider that goes wherever a page leads it, with a DNS of the test's own."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import scrapy
from aiohttp import ThreadedResolver
from scrapy import Request
from scrapy.http import Response

_getaddrinfo = socket.getaddrinfo


def answer_by(names: dict[str, list[str]]) -> None:
    """From now on each of `names` has these addresses, one after the other; its last one stays."""

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in names:
            host = names[name].pop(0) if len(names[name]) > 1 else names[name][0]
        return _getaddrinfo(host, *args, **kwargs)

    async def resolve(_: Any, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
        # uvloop's getaddrinfo is none of Python's, which answers here
        found = getaddrinfo(host, port, family, socket.SOCK_STREAM)
        shown = {"hostname": host, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
        return [{**shown, "host": info[4][0]} for info in found]

    socket.getaddrinfo = getaddrinfo
    socket.gethostbyname = lambda host: getaddrinfo(host, 0, socket.AF_INET)[0][4][0]
    ThreadedResolver.resolve = resolve


class Inward(scrapy.Spider):
    """`names`: JSON, name -> addresses. `url`: where to start, if anywhere."""

    name = "inward"
    custom_settings = {  # noqa: RUF012
        "ITEM_PIPELINES": {"scrapy.pipelines.files.FilesPipeline": 1},
        "MEDIA_ALLOW_REDIRECTS": True,
        "RETRY_ENABLED": False,
        "DNSCACHE_ENABLED": False,
    }

    def __init__(self, names: str = "{}", url: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_urls = url.split()
        answer_by(json.loads(names))

    def parse(self, response: Response) -> Iterator[Any]:
        """One item, and the pages and files to which it leads."""
        yield {
            "url": response.url,
            "body": response.text,
            "file_urls": [response.urljoin(src) for src in response.css("img::attr(src)").getall()],
        }
        for href in response.css("a::attr(href)").getall():
            yield Request(response.urljoin(href))
