"""The practice site's well-formed pages: a shop window of quotes and a graph of linked pages.

Everything is made up here and follows from numbers alone, so that every run serves the same bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from .site_answer import Answer, html, not_found, redirect

QUOTES_PER_PAGE = 10
MAX_QUOTES = 80_000
"""So many different sentences can be put together."""

LINKS_PER_GRAPH_PAGE = 20
_GRAPH_PAGE_BYTES = 4096
_TOP_TAGS = 10


def _phrases(text: str) -> list[str]:
    return text.replace("\n", "|").strip("|").split("|")


_SUBJECTS = _phrases("""
A patient reader|The quiet harbour|Every small machine|An honest map|The last lantern
A borrowed umbrella|The northern wind|Any careful gardener|The old clockmaker|A wandering river
The unopened letter|A modest bridge|The early train|An empty notebook|The village baker
A distant bell|The second attempt|A stubborn question|The winter orchard|An unhurried answer
""")
_VERBS = _phrases("""
remembers|outlives|forgives|invents|welcomes|measures|repairs|imagines|follows|questions
rewards|protects|surprises|completes|explains|carries|improves|gathers|discovers|deserves
""")
_OBJECTS = _phrases("""
the shortest road|a better silence|its own shadow|the missing piece|a simple promise
the colour of rain|an ordinary morning|the weight of words|a friendly mistake|the far shore
a hidden staircase|the patience of stone|an unfinished song|the first page|a second chance
the open window|a different ending|the sum of its parts|a well-kept secret|the next horizon
""")
_ENDINGS = _phrases("""
when nobody is counting|before the tea is cold|and never says so|one step at a time
without being asked|in spite of the weather|as long as it listens|by the light of day
where two paths meet|for no reason at all
""")
_FIRST_NAMES = _phrases("""
Ada|Bruno|Clara|Dario|Edda|Felix|Greta|Hugo|Ines|Jonas
Karla|Ludo|Mira|Nils|Olga|Pavel|Rosa|Sven|Tilda|Viktor
""")
_LAST_NAMES = _phrases("""
Ashgrove|Birchall|Corvell|Dunmarsh|Elmstead|Fairholt|Glenrow|Hartwick|Islemore|Jorvane
Kestrin|Lowmere|Marden|Northam|Oakhurst|Pellworth|Quillan|Rowanby|Stellmark|Thornley
""")
_POPULAR_TAGS = _phrases("life|love|patience|silence|weather|rivers|letters|mornings|travel|music")
_KINDS = _phrases("""
deep|quiet|early|lost|open|simple|hidden|distant|gentle|honest
bright|broken|second|old|northern|patient|small|borrowed|stubborn|wild
""")
_THINGS = _phrases("""
thoughts|maps|bridges|questions|gardens|machines|bread|winters|stones|windows
secrets|promises|horizons|clocks|harbours|orchards|lanterns|trains|answers|roads
""")


@dataclass(frozen=True, slots=True)
class Quote:
    """One quote as the site shows it; `author` is a name, `tags` are one to four words."""

    text: str
    author: str
    tags: tuple[str, ...]


def make_quotes(count: int) -> list[Quote]:
    """The first `count` quotes (1 to MAX_QUOTES), each text different from the others."""
    return [_make_quote(number) for number in range(count)]


def _make_quote(number: int) -> Quote:
    # 7919 is prime to 80,000: neighbours differ in every part, and no sentence comes twice.
    rest = number * 7919 % MAX_QUOTES
    rest, ending = divmod(rest, len(_ENDINGS))
    rest, item = divmod(rest, len(_OBJECTS))
    subject, verb = divmod(rest, len(_VERBS))
    text = f"{_SUBJECTS[subject]} {_VERBS[verb]} {_OBJECTS[item]} {_ENDINGS[ending]}."
    first, last = divmod(number * 13 % 400, len(_LAST_NAMES))
    return Quote(f"\u201c{text}\u201d", f"{_FIRST_NAMES[first]} {_LAST_NAMES[last]}", _tags(number))


def _tags(number: int) -> tuple[str, ...]:
    """One of a few popular tags and up to three of 400 rarer ones."""
    rare = (divmod((number * 13 + k * 131) % 400, len(_THINGS)) for k in range(number % 4))
    return (
        _POPULAR_TAGS[number * 3 % 7 + number % 4],
        *(f"{_KINDS[kind]}-{_THINGS[thing]}" for kind, thing in rare),
    )


def graph_links(page: int, pages: int) -> list[int]:
    """The LINKS_PER_GRAPH_PAGE pages that page `page` of `pages` links to, in order.

    The first two are its children in a binary tree, while there are any, so that every page is
    reachable from page 0; the others are scattered and may repeat.
    """
    children = [child for child in (2 * page + 1, 2 * page + 2) if child < pages]
    others = range(len(children), LINKS_PER_GRAPH_PAGE)
    return children + [(page * 7919 + k * 104_729 + 17) % pages for k in others]


class GraphSite:
    """`/graph/N`: pages of about 4 KB that link to each other; `/graph/` links to the first."""

    def __init__(self, pages: int) -> None:
        self._pages = pages

    def answer(self, path: str) -> Answer:
        """The page at a path below `/graph/`, 404 beyond the last."""
        name = path.removeprefix("/graph/")
        if not name:
            return html('<title>Graph</title><a href="/graph/0">page 0</a>')
        if not name.isdecimal() or int(name) >= self._pages:
            return not_found()
        return html(self._page(int(name)))

    def _page(self, page: int) -> str:
        links = "\n".join(
            f'<li><a href="/graph/{target}">page {target}</a></li>'
            for target in graph_links(page, self._pages)
        )
        title = f"<!DOCTYPE html>\n<html><head><title>Page {page}</title></head>"
        page_html = f"{title}\n<body><h1>Page {page}</h1>\n<ul>\n{links}\n</ul>\n<p>"
        sentences = " ".join(quote.text for quote in map(_make_quote, range(page, page + 50)))
        return page_html + sentences[: _GRAPH_PAGE_BYTES - len(page_html)] + "</p></body></html>"


class QuotesSite:
    """`/`, `/page/N/`, `/tag/T/page/N/` and `/author/A/`, laid out as quotes.toscrape.com is."""

    def __init__(self, quotes: Sequence[Quote]) -> None:
        self._quotes = quotes
        self._by_tag: dict[str, list[Quote]] = defaultdict(list)
        self._authors = {quote.author.replace(" ", "-"): quote.author for quote in quotes}
        for quote in quotes:
            for tag in quote.tags:
                self._by_tag[tag].append(quote)

    def answer(self, path: str) -> Answer:
        """The page at a path, 404 where there is none."""
        match path.split("/")[1:]:
            case [""]:
                return self._list(self._quotes, "/", "1")
            case ["page", number, ""]:
                return self._list(self._quotes, "/", number)
            case ["tag", tag, ""] if tag in self._by_tag:
                return self._list(self._by_tag[tag], f"/tag/{tag}/", "1")
            case ["tag", tag, "page", number, ""] if tag in self._by_tag:
                return self._list(self._by_tag[tag], f"/tag/{tag}/", number)
            case ["author", name, ""] if name in self._authors:
                return self._author(name)
            case ["author", name] if name in self._authors:
                return redirect(f"/author/{name}/", status=308)
        return not_found()

    def _list(self, quotes: Sequence[Quote], base: str, number: str) -> Answer:
        page = int(number) if number.isdecimal() else 0
        shown = quotes[(page - 1) * QUOTES_PER_PAGE : page * QUOTES_PER_PAGE] if page else []
        if not shown:
            return not_found()
        links = []
        if page > 1:
            links.append(_pager_link("previous", f"{base}page/{page - 1}/", "Previous"))
        if page * QUOTES_PER_PAGE < len(quotes):
            links.append(_pager_link("next", f"{base}page/{page + 1}/", "Next"))
        listed = "\n".join(map(_quote_html, shown))
        pager = f'<nav><ul class="pager">{"".join(links)}</ul></nav>'
        column = f'<div class="col-md-8">{listed}\n{pager}</div>'
        return html(_FRAME.format(content=f'<div class="row">{column}{self._tags_box()}</div>'))

    def _tags_box(self) -> str:
        tags = sorted(self._by_tag, key=lambda tag: -len(self._by_tag[tag]))[:_TOP_TAGS]
        items = (f'<span class="tag-item"><a class="tag" href="/tag/{tag}/">{tag}</a></span>' for tag in tags)
        return f'<div class="col-md-4 tags-box"><h2>Top Ten tags</h2>{"".join(items)}</div>'

    def _author(self, name: str) -> Answer:
        author = self._authors[name]
        letters = sum(map(ord, author))
        born = f"March {letters % 28 + 1}, {1800 + letters % 150}"
        return html(_FRAME.format(content=_AUTHOR.format(name=author, born=born)))


def _pager_link(kind: str, path: str, label: str) -> str:
    return f'<li class="{kind}"><a href="{path}">{label}</a></li>'


def _quote_html(quote: Quote) -> str:
    tags = "\n".join(f'<a class="tag" href="/tag/{tag}/page/1/">{tag}</a>' for tag in quote.tags)
    return _QUOTE.format(
        text=quote.text,
        author=quote.author,
        author_path=quote.author.replace(" ", "-"),
        keywords=",".join(quote.tags),
        tags=tags,
    )


_FRAME = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="UTF-8"><title>Quotes to Scrape</title></head>
<body>
<div class="container">
<div class="row header-box"><div class="col-md-8">
<h1><a href="/" style="text-decoration: none">Quotes to Scrape</a></h1>
</div></div>
{content}
</div>
</body>
</html>
"""
_QUOTE = """
<div class="quote" itemscope itemtype="http://schema.org/CreativeWork">
<span class="text" itemprop="text">{text}</span>
<span>by <small class="author" itemprop="author">{author}</small>
<a href="/author/{author_path}/">(about)</a>
</span>
<div class="tags">
Tags:
<meta class="keywords" itemprop="keywords" content="{keywords}">
{tags}
</div>
</div>"""
_AUTHOR = """<div class="author-details">
<h3 class="author-title">{name}</h3>
<p><strong>Born:</strong> <span class="author-born-date">{born}</span>
<span class="author-born-location">in a town that was made up</span></p>
<p><strong>Description:</strong></p>
<div class="author-description">{name} wrote one sentence a day and kept every one of them.</div>
</div>"""
