"""The `pages` spider, and what the chaos suite makes its callbacks do.

Run as `scrapy crawl chaos -s SPIDER_MODULES=tests.chaos.spider`, in processes of its own.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.http import Response

from crawlers.items import Page
from crawlers.spiders.pages import PagesSpider

MEGABYTE = 1 << 20
MONGO_LIMIT_BYTES = 16 * MEGABYTE


@dataclass(frozen=True, slots=True)
class Deed:
    """What the callback of one page does: a method of the spider, its argument, how often (0: always)."""

    what: str
    amount: float = 0
    times: int = 0


class ChaosSpider(PagesSpider):
    """`-a deeds=FILE` is a JSON map from the paths of pages to the fields of their :class:`Deed`."""

    name = "chaos"

    def __init__(self, deeds: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._folder = Path(deeds).parent
        self._deeds: dict[str, Any] = json.loads(Path(deeds).read_text()) if deeds else {}
        self._hoard: list[bytearray] = []

    def parse(self, response: Response, **_: Any) -> Iterator[Page | Request]:
        """The page and its links, after the deed that is planned for it."""
        path = urlsplit(response.url).path
        if path in self._deeds:
            deed = Deed(**self._deeds[path])
            if self._is_on(path, deed.times):
                yield from getattr(self, f"do_{deed.what}")(response, deed.amount)
        yield from super().parse(response)

    def _is_on(self, path: str, times: int) -> bool:
        """Counts over the whole fleet: a file for each time, which only one worker can create."""
        for number in range(times):
            mark = self._folder / f"done{path.replace('/', '-')}-{number}"
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return True
        return times == 0

    def do_raise(self, response: Response, _: float) -> tuple[()]:
        """A callback with a bug."""
        raise ValueError(f"chaos at {response.url}")

    def do_block(self, _: Response, seconds: float) -> tuple[()]:
        """A callback that holds the reactor up."""
        time.sleep(seconds)
        return ()

    def do_die(self, _: Response, __: float) -> tuple[()]:
        """A page that kills its worker, as one does that crashes a C library."""
        os.kill(os.getpid(), signal.SIGKILL)
        return ()

    def do_hoard(self, _: Response, megabytes: float) -> tuple[()]:
        """Takes memory and keeps it."""
        self._hoard += [bytearray(MEGABYTE) for _ in range(int(megabytes))]
        return ()

    def do_starve(self, _: Response, spare_megabytes: float) -> tuple[()]:
        """Takes all memory that the process may have, up to a MemoryError, and then leaves it a little."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + 64 * MEGABYTE
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        try:
            while True:
                self._hoard.append(bytearray(MEGABYTE))
        finally:
            del self._hoard[: int(spare_megabytes)]

    def do_fatten(self, response: Response, _: float) -> Iterator[Page]:
        """One more item, larger than a document of MongoDB may be."""
        page = next(super().parse(response))
        assert isinstance(page, Page)
        page.url = fat_url(response.url)
        page.title = "x" * MONGO_LIMIT_BYTES
        yield page


def fat_url(url: str) -> str:
    """The URL under which the page `url` brings a document that is too large."""
    return f"{url}?fat"
