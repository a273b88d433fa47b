"""Where a page asks to be taken, by the HTML standard's "shared declarative refresh steps"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lxml import etree  # type: ignore[import-untyped]  # it ships no types
from lxml.html import HTMLParser, document_fromstring  # type: ignore[import-untyped]

from crawlers.links import absolute, query_encoding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lxml.html import HtmlElement
    from scrapy.http import HtmlResponse, TextResponse

HEAD = 4096
"""Characters of a page in which Scrapy looks for a refresh and a base."""

_PARSER = HTMLParser(encoding="utf-8")
_SPACE = r"[ \t\n\f\r]*"
# Steps 1 to 5: seconds, what follows a point is ignored, and a separator.
_TIME = re.compile(rf"{_SPACE}(?P<seconds>[0-9]+|(?=\.))[0-9.]*(?:$|(?=[;, \t\n\f\r]){_SPACE}[;,]?{_SPACE})")
# Step 6: `url=` may stand before a URL, which may be quoted.
_URL_IS = re.compile(rf"url{_SPACE}={_SPACE}", re.IGNORECASE)
_MOST_DIGITS = 9  # of seconds; more than that is beyond any METAREFRESH_MAXDELAY


class Refresh(NamedTuple):
    """A page is to give way to `url` after `delay_s`. Without `names_url` it is to be loaded again."""

    delay_s: int
    url: str
    names_url: bool


def head_of(response: TextResponse) -> bytes:
    """The beginning of a page in UTF-8: lower() of it takes 1 us, and 70 of a text with quotation marks."""
    return response.text[:HEAD].encode("utf-8", "replace")


def declared_refresh(response: HtmlResponse, ignored: Collection[str] = ()) -> Refresh | None:
    """The first refresh in the head of `response` that leads to something on http or https.

    What stands within elements of the names `ignored` doesn't count.
    """
    head = head_of(response)
    if b"refresh" not in head.lower():
        return None
    try:
        root = document_fromstring(head, parser=_PARSER)
    except (etree.LxmlError, ValueError):
        return None
    encoding = query_encoding(response.encoding)
    base = _base(root, response.url, encoding)
    for content in _contents(root, ignored):
        if refresh := parse_refresh(content, response.url, base, encoding):
            return refresh
    return None


def parse_refresh(content: str, url: str, base: str, encoding: str = "utf-8") -> Refresh | None:
    """What `content` of a refresh asks for on the page `url`; None where that is nothing to be followed."""
    time = _TIME.match(content)
    if time is None:
        return None
    digits = time["seconds"].lstrip("0")
    delay_s = int(digits or 0) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
    target = _unquoted(content[time.end() :])
    if not target:
        return Refresh(delay_s, url, names_url=False)
    resolved = absolute(base, target, encoding)
    return None if resolved is None else Refresh(delay_s, resolved, names_url=True)


def _unquoted(text: str) -> str:
    if named := _URL_IS.match(text):
        text = text[named.end() :]
    elif text[:1] in "uU":
        return text
    quote = text[:1]
    return text[1:].partition(quote)[0] if quote in ("'", '"') else text


def _contents(root: HtmlElement, ignored: Collection[str]) -> Iterator[str]:
    for meta in root.iter("meta"):
        is_refresh = meta.get("http-equiv", "").lower() == "refresh" and meta.get("content")
        if is_refresh and not any(parent.tag in ignored for parent in meta.iterancestors()):
            yield meta.get("content")


def _base(root: HtmlElement, url: str, encoding: str) -> str:
    href = next((base.get("href") for base in root.iter("base") if base.get("href") is not None), None)
    return url if href is None else absolute(url, href, encoding) or url
