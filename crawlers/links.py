"""Links as plain data: many pages to be fetched in one object, where Scrapy has a request for each.

A page of a site leads to twenty others, nineteen of them seen before. What Scrapy does with a request
until that is noticed takes more time than all the rest of the page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urljoin, urlsplit

from parsel.csstranslator import GenericTranslator, HTMLTranslator
from scrapy import Request
from scrapy.utils.response import get_base_url
from w3lib.url import safe_url_string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from parsel import Selector
    from scrapy.http import TextResponse
    from scrapy.linkextractors import LinkExtractor

# Most links of most sites: nothing to resolve, to encode or to refuse, so a tenth of the work.
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+/?(?:\?[A-Za-z0-9_.~=&-]+)?")

_TRANSLATORS = {"html": HTMLTranslator(), "xml": GenericTranslator()}
_WHITESPACE = " \t\n\r\f"
# Characters. What is longer leads nowhere: servers take 8,000 (RFC 9110, 4.1), hosts have 253 at most, and
# to encode either takes more than linear time.
_MOST_URL = 65_536
_MOST_HOST = 1_024
MOST_BASE = 2_083
"""Characters of a base; a longer one, of which each link of a page would be made, is passed over."""
_SCHEMES = ("http", "https")


class Links:
    """Pages to be fetched, all with the same `callback`, `priority`, `meta` and `cb_kwargs`.

        yield Links(urls, callback=self.book)
        yield Links.of(response, css="article h3 a", callback=self.book)

    A callback yields it in place of requests. Each of the absolute `urls` is crawled as
    ``Request(url, callback, priority=..., meta=..., cb_kwargs=...)`` would be, and is subject to all that
    Scrapy has for requests: allowed domains, depth, length, referrer, deduplication. A URL of which no
    request can be made is set aside by itself. What needs more than this, as a POST does, needs a request.

    `set_aside`: further URLs, which are not to be fetched but to become dead letters, each with its reason.

    Scrapy shows what an errback makes of a failed download to no spider middleware, so that Links can't be
    recognised there: ``yield from links.requests()``.
    """

    __slots__ = ("callback", "cb_kwargs", "meta", "priority", "set_aside", "urls")

    def __init__(
        self,
        urls: Iterable[str],
        callback: Callable[..., Any] | None = None,
        *,
        priority: int = 0,
        meta: Mapping[str, Any] | None = None,
        cb_kwargs: Mapping[str, Any] | None = None,
        set_aside: Mapping[str, str] | None = None,
    ) -> None:
        self.urls = list(urls)
        self.callback = callback
        self.priority = priority
        self.meta = dict(meta or {})
        self.cb_kwargs = dict(cb_kwargs or {})
        self.set_aside = set_aside or {}

    @classmethod
    def of(
        cls,
        response: TextResponse,
        callback: Callable[..., Any] | None = None,
        *,
        css: str | None = None,
        xpath: str | None = None,
        extractor: LinkExtractor | None = None,
        skip_nofollow: bool = False,
        **options: Any,
    ) -> Links:
        """The pages that `response` leads to, told by one of `css`, `xpath` and `extractor`.

        `css` and `xpath` select elements with a `href`, or such attributes themselves. What leads to nothing
        on http or https is left out; so are, with `skip_nofollow`, links whose `rel` says nofollow. `options`
        are those of the class. Raises ValueError where it isn't told one of the three, or where attributes
        are to be skipped by the `rel` of their elements.
        """
        if [css, xpath, extractor].count(None) != 2:
            raise ValueError("Links.of needs one of css, xpath and extractor")
        if extractor is not None:
            links = extractor.extract_links(response)
            urls = [link.url for link in links if not (skip_nofollow and link.nofollow)]
        else:
            hrefs = _hrefs(_select(response.selector, css, xpath), skip_nofollow=skip_nofollow)
            urls = list(resolve(get_base_url(response), hrefs, query_encoding(response.encoding)))
        return cls(urls, callback, **options)

    def request(self, url: str) -> Request:
        """What one of the `urls` is crawled as. Raises ValueError where no request can be made of it."""
        return Request(url, self.callback, priority=self.priority, meta=self.meta, cb_kwargs=self.cb_kwargs)

    def requests(self) -> Iterator[Request]:
        """A request for each URL, for where there is no middleware for links. Raises ValueError."""
        return map(self.request, self.urls)


def _select(selector: Selector, css: str | None, xpath: str | None) -> list[Any]:
    """As parsel does, but without an object of its own for each: this takes a third of the time."""
    if selector.type not in _TRANSLATORS:
        raise ValueError(f"neither css nor xpath finds links in {selector.type}")
    query = xpath if css is None else _TRANSLATORS[selector.type].css_to_xpath(css)
    found = selector.root.xpath(query, namespaces=selector.namespaces, smart_strings=False)
    return found if isinstance(found, list) else [found]


def _hrefs(selected: Iterable[Any], *, skip_nofollow: bool) -> Iterator[str]:
    for element in selected:
        if isinstance(element, str):
            if skip_nofollow:
                raise ValueError("skip_nofollow reads the rel of elements: select a, not a::attr(href)")
            yield element
        elif skip_nofollow and "nofollow" in element.get("rel", "").lower().split():
            continue
        elif (href := element.get("href")) is not None:
            yield href


def query_encoding(encoding: str) -> str:
    """In what the queries of a page's links are encoded: as in browsers, that of the page, but UTF-8 for
    UTF-16 and UTF-32.
    """
    return "utf-8" if encoding.lower().startswith(("utf-16", "utf-32")) else encoding


def resolve(base: str, hrefs: Iterable[str], encoding: str = "utf-8") -> Iterator[str]:
    """Where each of `hrefs` leads on a page whose base is `base`, see :func:`absolute`; without those that
    lead nowhere.
    """
    home = origin(base)
    for href in hrefs:
        url = home + href if _PLAIN_PATH.fullmatch(href) else absolute(base, href, encoding)
        if url is not None:
            yield url


def absolute(base: str, href: str, encoding: str = "utf-8") -> str | None:
    """Where `href` leads on a page whose base is `base`; None where that is nothing to fetch.

    Without fragment, and as Scrapy sends it. `encoding` is that of the page: its queries are encoded in it.
    """
    if len(href) > _MOST_URL:
        return None
    try:
        url = urldefrag(urljoin(base, href.strip(_WHITESPACE))).url
        if len(urlsplit(url).netloc) > _MOST_HOST:
            return None
        url = safe_url_string(url, encoding)
        parts = urlsplit(url)
        return url if parts.scheme in _SCHEMES and parts.hostname else None
    except (ValueError, LookupError):
        return None


def origin(url: str) -> str:
    """Scheme, host and port of a URL as they stand in it: `https://example.com:8443`."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{re.split(r'[/?#]', rest, maxsplit=1)[0]}"
