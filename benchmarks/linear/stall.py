"""For how long a large page holds a worker's loop, read there and in a thread.

python -m benchmarks.linear.stall [--mb 32]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator

from rich.console import Console
from rich.table import Table

from benchmarks.harness import run
from benchmarks.linear.measure import MB
from benchmarks.linear.shapes import HTML
from benchmarks.linear.subjects import page
from crawlers.links import Links
from crawlers.spiders.pages import PagesSpider

SHAPES = ("paragraphs", "the index of the JDK", "links", "one word", "many attributes")
_TICK_S = 0.001


async def longest_lag_s(ticking: asyncio.Event) -> float:
    """The longest time for which the loop didn't come round until `ticking` is set."""
    worst, before = 0.0, time.perf_counter()
    while not ticking.is_set():
        await asyncio.sleep(_TICK_S)
        now = time.perf_counter()
        worst, before = max(worst, now - before - _TICK_S), now
    return worst


async def stall(text: str, most_loop_bytes: int) -> tuple[float, float, int]:
    """Seconds for the whole page, the longest lag of the loop meanwhile, and the links found."""
    spider, response, over = PagesSpider(url="http://host/"), page(text), asyncio.Event()
    spider.most_loop_bytes, spider.most_parsed_bytes = most_loop_bytes, 0
    lag = asyncio.ensure_future(longest_lag_s(over))
    await asyncio.sleep(0.01)
    began, links = time.perf_counter(), 0
    outputs = spider.parse(response)
    if isinstance(outputs, AsyncIterator):
        async for output in outputs:
            links += len(output.urls) if isinstance(output, Links) else 0
    else:
        links = sum(len(output.urls) for output in outputs if isinstance(output, Links))
    took_s = time.perf_counter() - began
    await asyncio.sleep(0.01)
    over.set()
    return took_s, await lag, links


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linear.stall", description=__doc__)
    parser.add_argument("--mb", type=float, default=32)
    size = round(parser.parse_args().mb * MB)
    drawn = Table("shape", "in the loop: s", "longest lag, s", "in a thread: s", "longest lag, s", "links")
    for shape in SHAPES:
        text = HTML[shape](size)
        there, in_thread = asyncio.run(stall(text, 0)), asyncio.run(stall(text, 1))
        figures = (*there[:2], *in_thread[:2])
        drawn.add_row(shape, *(f"{figure:.2f}" for figure in figures), str(in_thread[2]))
    Console().print(drawn)


if __name__ == "__main__":
    run(main)
