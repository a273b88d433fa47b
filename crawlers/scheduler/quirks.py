"""What browsers ignore in a page raises nothing in a spider either."""

from __future__ import annotations

import codecs
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from scrapy.http import HtmlResponse, Response, TextResponse
from scrapy.selector import Selector
from scrapy.utils.response import _baseurl_cache, get_base_url
from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding
from w3lib.url import safe_url_string

from crawlers.links import MOST_BASE, absolute
from crawlers.markup import NEVER_CROWDED, few_attributes

from .refresh import head_of

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

# Codecs of Python that read text, but in which nobody writes pages. Some raise, some take quadratic time.
_NOT_OF_PAGES = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"})


class Quirks:
    """A downloader middleware between decompression and whatever reads text.

    - An encoding that is declared and is none of text is passed over for what is declared next, at last for
      UTF-8, or windows-1252 where that can't be. So `response.text`, selectors and link extractors work.
    - The selectors of a large page see the first 256 attributes of an element: with all, libxml2 would take
      quadratic time.
    - A `<base>` that is no http or https address is passed over for the address of the page.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:  # noqa: ARG003  # Scrapy's signature
        """Scrapy's way to make one."""
        return cls()

    def process_response(self, request: Request, response: Response) -> Response:  # noqa: ARG002
        """Scrapy's call."""
        if not isinstance(response, TextResponse):
            return response
        if not is_of_text(response.encoding):
            response = response.replace(encoding=_next_encoding(response))
        if type(response) is HtmlResponse and len(response.body) > NEVER_CROWDED:
            response = response.replace(cls=LargeHtmlResponse)
        if isinstance(response, HtmlResponse) and b"<base" in head_of(response).lower():
            _check_base(response)
        return response


class LargeHtmlResponse(HtmlResponse):
    """Its selectors take linear time."""

    @property
    def selector(self) -> Selector:
        """As Scrapy's."""
        if self._cached_selector is None:
            body = few_attributes(self.text).encode("utf-8", "replace")
            shown = HtmlResponse(self.url, body=body, encoding="utf-8")
            _baseurl_cache[shown] = get_base_url(self)
            self._cached_selector = Selector(shown)
        return self._cached_selector


@lru_cache(maxsize=256)
def is_of_text(encoding: str) -> bool:
    """Whether a page can be written in `encoding`."""
    try:
        "".encode(encoding)
        return codecs.lookup(encoding).name not in _NOT_OF_PAGES
    except (LookupError, ValueError):
        return False


def _next_encoding(response: TextResponse) -> str:
    header = response.headers.get(b"Content-Type") or b""
    declared = (
        http_content_type_encoding(header.decode("latin-1")),
        html_body_declared_encoding(response.body),
    )
    for encoding in declared:
        if encoding and is_of_text(encoding):
            return encoding
    try:
        response.body.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _check_base(response: HtmlResponse) -> None:
    """Scrapy remembers a page's base for all that ask for it: here the right one, where it would raise."""
    try:
        base = get_base_url(response)
    except ValueError:
        base = ""
    if absolute(base, "") is None or len(base) > MOST_BASE:
        _baseurl_cache[response] = safe_url_string(response.url)
