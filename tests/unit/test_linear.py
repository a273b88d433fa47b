"""What a site sends costs time in proportion to its size, whatever its shape."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse

from crawlers.spiders.htmlpage import HtmlPage

# Four times the bytes: 4 times the time where it is linear, 16 times where it is quadratic.
MOST_GROWTH = 8


def growth(work: Callable[[str], object], text: Callable[[int], str], size: int) -> float:
    """How many times as long `work` takes with four times `size` bytes: CPU time, best of 3."""

    def best_s(size: int) -> float:
        taken = []
        for _ in range(3):
            made = text(size)
            before_s = time.process_time()
            work(made)
            taken.append(time.process_time() - before_s)
        return min(taken)

    return best_s(4 * size) / best_s(size)


def read(text: str) -> None:
    """All that `pages` reads of a page."""
    url = "http://host/"
    html = HtmlPage(HtmlResponse(url, body=text, encoding="utf-8", request=Request(url)))
    html.links(), html.title(), html.text_length()


@pytest.mark.parametrize(
    "piece",
    [
        "<dt>a</dt>\n<dd>\n<div>b</div>\n</dd>\n",
        "<div>",
        "<p>x</p>",
        "<a href='/a?b=ü'>x</a>",
        "<base href='http://[bad/'>",
        "<title>x",
        "</html>",
        "<!--",
        "<a ",
        "&amp;",
        "<b><i></b>",
        "<table><td>",
        "<script>",
    ],
)
def test_reading_a_page_takes_time_in_proportion_to_its_size(piece: str) -> None:
    assert growth(read, lambda size: piece * (size // len(piece)), 60_000) < MOST_GROWTH
