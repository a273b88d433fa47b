"""What hostile sites send, in any size: shapes for which some parser somewhere took more than linear time."""

from __future__ import annotations

from collections.abc import Callable

Shape = Callable[[int], str]
"""Some text of about so many bytes."""


def repeated(piece: str, before: str = "", after: str = "") -> Shape:
    """`piece` again and again, between `before` and `after`."""
    return lambda size: before + piece * (size // len(piece.encode())) + after


def numbered(piece: str, before: str = "", after: str = "") -> Shape:
    """The same, with a number in each that makes it another."""
    return lambda size: (
        before + "".join(piece.format(i) for i in range(size // (len(piece.encode()) + 4))) + after
    )


HTML: dict[str, Shape] = {
    "paragraphs": repeated("<p>x</p>"),
    "the index of the JDK": repeated("<dt>a</dt>\n<dd>\n<div>b</div>\n</dd>\n"),
    "nested <div>": repeated("<div>"),
    "mismatched tags": repeated("<b><i></b>"),
    "open <table>": repeated("<table><td>"),
    "open <a><font>": repeated("<a><font>"),
    "</html>": repeated("</html>"),
    "<!--": repeated("<!--"),
    "<script>": repeated("<script>"),
    "<a without end": repeated("<a "),
    "<": repeated("<"),
    "entities": repeated("&amp;"),
    "unknown entities": repeated("&x"),
    "spaces": repeated(" "),
    "one word": repeated("x"),
    "many attributes": numbered("a{}=b ", "<a ", ">"),
    "many attributes with >": numbered('a{}=">" ', "<a ", ">"),
    "255 attributes each": lambda size: numbered("a{}=b ", "<a ", ">")(2500) * (size // 2500),
    "one long attribute": repeated("x", "<a title='", "'>"),
    "many <base>": repeated("<base href='http://[bad/'>"),
    "many <title>": repeated("<title>x"),
    "many <meta>": repeated("<meta http-equiv=refresh content=x>"),
    "many namespaces": numbered("<a:b{} xmlns:c='d'>"),
    "links": numbered("<a href='/page/{}'>x</a>"),
    "links to encode": numbered("<a href='/\u00fc/{}?a b'>x</a>"),
    "links, long base": lambda size: (
        f"<base href='/{'b' * (size // 2)}/'>" + numbered("<a href=x{}>")(size // 2)
    ),
    "one long link": repeated("\u00fc", "<a href='/", "'>"),
    "one link up and up": repeated("../", "<a href='/", "'>"),
    "one long host": repeated("\u00fc", "<a href='http://", "'>"),
}

URLS: dict[str, Shape] = {
    "path": repeated("a", "http://host/"),
    "path to encode": repeated("\u00fc", "http://host/"),
    "slashes": repeated("/", "http://host/"),
    "dots": repeated("../", "http://host/"),
    "percent": repeated("%", "http://host/"),
    "query": repeated("a=b&", "http://host/?"),
    "query to sort": numbered("k{}=v&", "http://host/?"),
    "host": repeated("a.", "http://"),
    "host to encode": repeated("\u00fc", "http://"),
    "port": repeated("1", "http://host:"),
    "user": repeated("u@", "http://"),
    "brackets": repeated("[", "http://"),
    "fragment": repeated("#", "http://host/"),
}

ROBOTS: dict[str, Shape] = {
    "rules": numbered("Disallow: /{}\n", "User-agent: *\n"),
    "wildcards": repeated("Disallow: /*a*a*a*a*a*a*a*a*b$\n", "User-agent: *\n"),
    "one rule": repeated("*a", "User-agent: *\nDisallow: /"),
    "to encode": repeated("Disallow: /%zz\u00fc\n", "User-agent: *\n"),
    "agents": numbered("User-agent: a{}\n"),
    "groups": numbered("User-agent: a{}\nDisallow: /\n"),
    "sitemaps": repeated("Sitemap: http://host/\n"),
    "one line": repeated("x"),
    "colons": repeated(":"),
    "empty lines": repeated("\n"),
}

SITEMAPS: dict[str, Shape] = {
    "URLs": numbered("<url><loc>http://host/{}</loc></url>", "<urlset>", "</urlset>"),
    "nested": repeated("<url>", "<urlset>"),
    "attributes": numbered("a{}='b' ", "<urlset ", "/>"),
    "namespaces": numbered("<a xmlns='b{}'/>", "<urlset>", "</urlset>"),
    "comments": repeated("<!-- x -->", "<urlset>", "</urlset>"),
    "CDATA": repeated("<![CDATA[x]]>", "<urlset><url><loc>", "</loc></url></urlset>"),
    "entities": repeated(
        "&a;", "<!DOCTYPE x [<!ENTITY a 'xxxxxxxx'>]><urlset><url><loc>", "</loc></url></urlset>"
    ),
}

HEADERS: dict[str, Shape] = {
    "digits": repeated("1"),
    "spaces": repeated(" ", "text/html;"),
    "semicolons": repeated(";", "0"),
    "quotes": repeated('; a="b', "text/html"),
    "backslashes": repeated("\\", 'text/html; a="'),
    "charsets": repeated("; charset=", "text/html"),
    "commas": repeated("Mon, ", "Mon, "),
    "brackets": repeated("("),
    "equals": repeated("a=b ", "a=b; "),
}
