"""The practice site's traps: what real sites do to crawlers, each below `/traps/`.

A trap that a good crawler gets past leads to a page below `/traps/leaf/`, so that a test can tell
by the leaves it reached what it got past.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from functools import cache
from urllib.parse import parse_qs, unquote, urlsplit

from .site_answer import Answer, Ending, html, not_found, redirect

LEAVES = frozenset(
    {
        "after-html", "base-href", "endless-fragment", "latin-1", "leaf with space", "long",
        "malformed", "meta-refresh", "mixed-links", "moved-301", "moved-302", "no-charset",
        "slow", "unicode-\u017c\u00f3\u0142\u0107", "utf-16",
    }
)  # fmt: skip
"""The leaves that a crawler which gets past every trap reaches from `/traps/`."""

FORBIDDEN = "/traps/forbidden"
"""The path that robots.txt disallows."""

_LONG_QUERY_CHARS = 3000
_FAILURES_BEFORE_SUCCESS = 2
_ACCENTS = "Caf\u00e9 na\u00efve \u00fcber"


class TrapsSite:
    """Answers everything below `/traps/`; remembers how often the traps that give in were asked."""

    def __init__(self) -> None:
        self._visits: Counter[str] = Counter()

    def answer(self, target: str) -> Answer:
        """The answer to a request target (path and query) below `/traps/`."""
        parts = urlsplit(target)
        name = unquote(parts.path).removeprefix("/traps/")
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if name in _STILL:
            return _STILL[name]()
        if name.startswith("leaf/"):
            return html(f"<title>Leaf</title><h1>{name.removeprefix('leaf/')}</h1>")
        if name.startswith("endless/") and name.removeprefix("endless/").isdecimal():
            return redirect(f"/traps/endless/{int(name.removeprefix('endless/')) + 1}")
        if name == "slow":
            return Answer(body=_link("slow"), delay_ms=_number(query, "ms", 500))
        if name in ("503", "429"):
            return self._giving_in(target, int(name), query)
        return not_found()

    def _giving_in(self, target: str, status: int, query: dict[str, str]) -> Answer:
        """Refuse the first requests of a target (give it a `?key=` of your own), then serve it."""
        self._visits[target] += 1
        if self._visits[target] > _FAILURES_BEFORE_SUCCESS:
            return html(f"<title>At last</title><p>{target} is served.</p>")
        if status == 503:
            return html("<title>Not now</title>", status=503)
        retry_after_s = _number(query, "retry_after_s", 1)
        return Answer(status=429, headers=(("Retry-After", str(retry_after_s)),))


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    return int(text) if text.isdecimal() else default


def _link(leaf: str, encoding: str = "utf-8") -> bytes:
    return f'<title>{leaf}</title><p>{_ACCENTS}</p><a href="/traps/leaf/{leaf}">go on</a>'.encode(encoding)


def _index() -> Answer:
    """Links to every trap that comes to an end by itself, so neither to `never` nor to `bomb`."""
    names = [name for name in _STILL if name not in ("", "never", "bomb")]
    names += ["endless/0", "slow?ms=500", "503", "429"]
    links = "\n".join(f'<li><a href="/traps/{name}">{name}</a></li>' for name in names)
    return html(f"<title>Traps</title><ul>\n{links}\n</ul>")


def _fragments() -> Answer:
    links = (f'<a href="/traps/leaf/endless-fragment#{part}">{part}</a>' for part in "abcdef")
    return html("<title>One page, six fragments</title>" + "".join(links))


def _long_url() -> Answer:
    return html(f'<title>Long</title><a href="/traps/leaf/long?x={"x" * _LONG_QUERY_CHARS}">x</a>')


def _mixed_links() -> Answer:
    schemes = ("javascript:void(0)", "mailto:nobody@example.invalid", "tel:+0", "data:,x", "#", "")
    links = "".join(f'<a href="{target}">x</a>' for target in schemes)
    return html(f"<title>Mixed</title>{links}" + _link("mixed-links").decode())


def _malformed() -> Answer:
    return html('<table><div <p>a < b & c</span><a href="/traps/leaf/malformed"<b>go on</i></a')


def _after_html() -> Answer:
    return html(f"<html><body>end</body></html>\n{_link('after-html').decode()}")


def _base_href() -> Answer:
    return html('<head><base href="/traps/leaf/"></head><body><a href="base-href">go on</a></body>')


def _unicode_urls() -> Answer:
    links = '<a href="/traps/leaf/unicode-\u017c\u00f3\u0142\u0107">a</a>'
    return html(f'<title>Unicode</title>{links}<a href="/traps/leaf/leaf with space">b</a>')


def _meta_refresh() -> Answer:
    return html('<meta http-equiv="refresh" content="0; url=/traps/leaf/meta-refresh">')


@cache
def _bomb() -> Answer:
    """200 MB of zeros in 200 kB, the size that took a stock worker to 508 MB."""
    body = gzip.compress(bytes(200_000_000), compresslevel=1)
    return Answer(body=body, headers=(("Content-Encoding", "gzip"),))


_STILL: dict[str, Callable[[], Answer]] = {
    "": _index,
    "301": lambda: redirect("/traps/leaf/moved-301", status=301),
    "302": lambda: redirect("/traps/leaf/moved-302"),
    "loop": lambda: redirect("/traps/loop"),
    "meta-refresh": _meta_refresh,
    # Latin-1 bytes that claim to be UTF-8, a UTF-16 page, and bytes that claim nothing.
    "latin-1": lambda: Answer(body=_link("latin-1", "latin-1")),
    "utf-16": lambda: Answer(body=_link("utf-16", "utf-16"), content_type="text/html; charset=utf-16"),
    "no-charset": lambda: Answer(body=_link("no-charset", "cp1252"), content_type="text/html"),
    "pdf": lambda: Answer(body=b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", content_type="application/pdf"),
    "image": lambda: Answer(body=b"\x89PNG\r\n\x1a\n" + bytes(64), content_type="image/png"),
    "json": lambda: Answer(body=b'{"next": "/traps/json"}', content_type="application/json"),
    "text": lambda: Answer(body=b"href=/traps/text", content_type="text/plain"),
    "no-type": lambda: Answer(body=b"\x00\x01\x02", content_type=None),
    "base-href": _base_href,
    "fragments": _fragments,
    "malformed": _malformed,
    "after-html": _after_html,
    "mixed-links": _mixed_links,
    "long-url": _long_url,
    "unicode": _unicode_urls,
    "empty": Answer,
    "404": not_found,
    "500": lambda: html("<title>Broken</title>", status=500),
    "forbidden": lambda: html("<title>robots.txt forbids to read this</title>"),
    "truncated": lambda: Answer(body=b"<p>half of", missing_bytes=1000, ending=Ending.CLOSE),
    "reset": lambda: Answer(ending=Ending.RESET),
    "never": lambda: Answer(ending=Ending.SILENCE),
    "bomb": _bomb,
}
