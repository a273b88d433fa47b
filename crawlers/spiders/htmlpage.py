"""A fetched page as HTML: its links, its title, its text, whatever state it is in.

Each function takes what the web holds and raises nothing: undeclared or unknown encodings, UTF-16,
markup that no rule allows, addresses that are none. Parsing is most of a page's cost, so a page is
parsed once and its links are collected in one walk.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lxml import etree  # type: ignore[import-untyped]  # it ships no types
from lxml.html import HTMLParser, document_fromstring  # type: ignore[import-untyped]
from scrapy.http import HtmlResponse

from crawlers.links import MOST_BASE, absolute, query_encoding, resolve
from crawlers.markup import few_attributes

if TYPE_CHECKING:
    from lxml.html import HtmlElement
    from scrapy.http import Response

# libxml2 2.14 stops at </html>, and browsers go on. A name that means nothing takes its place. Only
# the name is replaced: looking for the closing > would take quadratic time on a hostile page.
_HTML_END = re.compile(r"</[hH][tT][mM][lL](?=[\s/>])")


_VISIBLE = "/descendant::text()[not(parent::script or parent::style or parent::title or parent::template)]"


class _Tools(threading.local):
    """lxml's, which are locked while one thread uses them: each has its own."""

    def __init__(self) -> None:
        self.parser = HTMLParser(encoding="utf-8", huge_tree=True)
        self.visible_text = etree.XPath(_VISIBLE, smart_strings=False)


_tools = _Tools()

_DEFAULT_PORTS = {"http": 80, "https": 443}


class HtmlPage:
    """What a response holds where it is HTML; where it is not, there are no links, title and text.

    Elements nested deeper than libxml2's 2,048 are cut off.
    """

    def __init__(self, response: Response) -> None:
        self._url = response.url
        self._encoding = "utf-8"
        self._root = self._parse(response) if isinstance(response, HtmlResponse) else None

    def _parse(self, response: HtmlResponse) -> HtmlElement | None:
        text = few_attributes(_HTML_END.sub("</ignored", self._decode(response)))
        try:
            return document_fromstring(text.encode("utf-8", "replace"), parser=_tools.parser)
        except (etree.LxmlError, ValueError):
            return None

    def _decode(self, response: HtmlResponse) -> str:
        try:
            text = response.text
            encoding = response.encoding
        except (LookupError, ValueError):
            # Some declared encodings are Python codecs, but not of text.
            return response.body.decode("utf-8", "replace")
        self._encoding = query_encoding(encoding)
        return text

    def title(self) -> str | None:
        """The text of the first `<title>`, whitespace collapsed; None without one."""
        if self._root is None:
            return None
        element = next(self._root.iter("title"), None)
        return None if element is None else " ".join("".join(element.itertext()).split())

    def text_length(self) -> int:
        """The characters of the visible text, whitespace collapsed."""
        if self._root is None:
            return 0
        return len(" ".join("".join(_tools.visible_text(self._root)).split()))

    def links(self) -> list[str]:
        """The distinct http and https addresses that `<a>` and `<area>` lead to, in their order.

        Absolute, without fragment, as Scrapy sends them.
        """
        if self._root is None:
            return []
        base: str | None = None
        hrefs: dict[str, None] = {}
        for element in self._root.iter("a", "area", "base"):
            href = element.get("href")
            if href is None:
                continue
            if element.tag != "base":
                hrefs[href] = None
            elif base is None and len(href) <= MOST_BASE:
                base = absolute(self._url, href, self._encoding)
        return list(dict.fromkeys(resolve(base or self._url, hrefs, self._encoding)))


def page_links(response: Response) -> list[str]:
    """The links of `response`, as :meth:`HtmlPage.links` gives them."""
    return HtmlPage(response).links()


def host_port(url: str) -> tuple[str, int]:
    """The host of a URL in lower case and its port, that of the scheme where none is named.

    A URL without a valid one has ("", 0).
    """
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return "", 0
