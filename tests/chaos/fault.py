"""What a fault is, and what it may ask for before its crawl begins."""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from .spider import Deed

if TYPE_CHECKING:
    from .crawl_run import CrawlRun

_FIRST_PAGES = 10
"""They come to no harm, so that a crawl branches before it can end."""


@dataclass
class Plan:
    """How a crawl is set up: what its faults ask for before it starts.

    `deeds` by page number; `settings` of Scrapy; `urls`: further start URLs, as paths of the site.
    `lease_s` and `outage_s`: how long leases last, and how long servers are away.
    """

    pages: int
    lease_s: float
    outage_s: float
    rng: random.Random
    deeds: dict[int, Deed] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    urls: list[str] = field(default_factory=list)
    redis_proxy: bool = False
    site_proxy: bool = False
    mongo_set: bool = False

    def pick_pages(self, number: int) -> list[int]:
        """Some pages that nothing is planned for yet."""
        free = [page for page in range(_FIRST_PAGES, self.pages) if page not in self.deeds]
        return self.rng.sample(free, number)


class Fault(ABC):
    """Something that goes wrong in the midst of a crawl: it begins by `inject` and is over after `end`."""

    name: ClassVar[str]
    target: ClassVar[str]
    """`worker`, `redis`, `mongo` or `site`, of each of which one fault is on at a time; or `pages`."""
    deaths: ClassVar[int] = 0
    """So many workers end by it, whom a supervisor would start again."""
    for_stock: ClassVar[bool] = False
    """Whether it means something to a crawl without leases and without MongoDB."""
    death_reason: ClassVar[str] = ""
    """Dead letters for its pages that begin so are its doing; empty: none are."""
    status: ClassVar[int] = 200
    """What its pages may be stored with instead."""
    tracebacks: ClassVar[str] = ""
    """A regular expression for the entries of logs whose tracebacks are its doing; empty: none are."""

    def __init__(self, plan: Plan) -> None:
        """`plan` is that of its crawl, to be added to."""
        self.plan = plan
        self.at = plan.rng.uniform(0.1, 0.6)
        """The share of pages done at which it begins."""
        self.lasts_s = 0.0
        """From `inject` to `end`."""
        self.pages: set[int] = set()
        """Whom it has met."""
        self.run: CrawlRun
        """The crawl it acts upon, set before that starts."""

    @abstractmethod
    def inject(self) -> None:
        """Lets it begin."""

    def end(self) -> None:  # noqa: B027  # many are over when they have begun
        """Makes it good again."""

    def is_over(self, elapsed_s: float) -> bool:
        """Whether it is time for `end`."""
        return elapsed_s >= self.lasts_s

    def problems(self) -> list[str]:
        """What else its crawl should have shown and did not."""
        return []

    def explains_death(self, page: int | None, reason: str) -> bool:
        """Whether a dead letter for `page` is its doing. An ill site is so to what has no number as well."""
        met = page in self.pages or (page is None and self.target == "site")
        return met and bool(self.death_reason) and reason.startswith(self.death_reason)

    def explains_status(self, page: int, status: int) -> bool:
        """Whether it is its doing that `page` was stored with `status`."""
        return status == self.status and page in self.pages

    def explains_traceback(self, entry: str) -> bool:
        """Whether a traceback below this entry of a log is its doing."""
        return bool(self.tracebacks) and re.search(self.tracebacks, entry) is not None


class Outage(Fault):
    """A server is not what it should be for up to `outage_s`."""

    least_share: ClassVar[float] = 1.0
    """How much of `outage_s` it lasts at least."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.lasts_s = plan.outage_s * plan.rng.uniform(self.least_share, 1)


class PageFault(Fault):
    """Pages whose callbacks do something, from the beginning of the crawl on."""

    target = "pages"
    deed: Deed
    number: ClassVar[int] = 1

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.at = 0
        self.pages = set(plan.pick_pages(self.number))
        plan.deeds |= dict.fromkeys(self.pages, self.deed)

    def inject(self) -> None:
        """The pages are there already."""
