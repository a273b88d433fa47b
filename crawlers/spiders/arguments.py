"""What a user hands a spider with `-a`, and what happens when it makes no sense."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import regex  # type: ignore[import-untyped]  # it ships no types
from scrapy import Spider

if TYPE_CHECKING:
    from typing import Self

    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

# A comma is part of a URL unless another URL follows it.
_BETWEEN_URLS = re.compile(r"\s+|,+(?=\s|$|[a-zA-Z][a-zA-Z0-9+.-]*://)")


class BadArgument(ValueError):
    """A spider's argument that can't be used; the text names it and says what it may be."""


class ArgumentSpider(Spider):
    """A spider that ends with one sentence, and exit status 1, where an argument can't be used.

    Its `__init__` raises :class:`BadArgument`.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        """Scrapy's way to make one."""
        try:
            return super().from_crawler(crawler, *args, **kwargs)
        except BadArgument as error:
            logger.critical("%s", error)
            raise SystemExit(1) from None


def start_urls(text: str) -> list[str]:
    """The URLs in `text`, separated by commas or whitespace. Raises :class:`BadArgument`."""
    urls = [url for url in _BETWEEN_URLS.split(text) if url]
    for url in urls:
        if not _has_host(url):
            raise BadArgument(f"-a url={url}: write it out, such as http://example.com/")
    return urls


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def number(name: str, text: str) -> int:
    """The whole number `text`, 0 or more. Raises :class:`BadArgument` naming the argument."""
    if not text.isdecimal():
        raise BadArgument(f"-a {name}={text}: it must be a whole number, 0 or more")
    return int(text)


def pattern(name: str, text: str) -> regex.Pattern[str] | None:
    """The regular expression `text`, None if empty. Raises :class:`BadArgument` naming it."""
    try:
        return regex.compile(text) if text else None
    except regex.error as error:
        raise BadArgument(f"-a {name}={text}: not a regular expression, {error}") from None
