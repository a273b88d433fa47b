"""What all cases have in common: the terms of a crawl, links of a real size, and what work has cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.fairness.crowd import Crowd
from benchmarks.harness import BenchmarkError
from crawlers import settings
from crawlers.frontier import Batch, Found, Lease, Link, Member, News, Terms, encode
from crawlers.scheduler.fingerprints import fingerprint_of_url

MAX_BYTES = settings.FRONTIER_MAX_REQUEST_BYTES

TERMS = Terms(
    ttl_ms=settings.FRONTIER_LEASE_TTL_S * 1000,
    max_attempts=settings.FRONTIER_MAX_ATTEMPTS,
    limit=settings.CONCURRENT_REQUESTS_PER_DOMAIN,
    robots=settings.ROBOTSTXT_OBEY,
    host_pages=settings.FRONTIER_HOST_PAGES,
    back_off_ms=settings.FRONTIER_BACK_OFF_S * 1000,
    back_off_max_ms=settings.FRONTIER_BACK_OFF_MAX_S * 1000,
    strikes=settings.FRONTIER_HOST_STRIKES,
    rest_ms=settings.FRONTIER_HOST_REST_S * 1000,
    rests=settings.FRONTIER_HOST_RESTS,
)
"""Those of a crawl with this project's settings, as they are shipped."""

CALLBACK = "parse_page"
_ROBOTS_TTL_MS = settings.FRONTIER_ROBOTS_TTL_S * 1000
_HOSTS_AT_ONCE = 1000


@dataclass(frozen=True)
class Spent:
    """What `number` operations took: on the wall, of Redis' CPU with all its threads, of this process'."""

    number: int
    wall_s: float
    redis_s: float
    client_s: float

    @property
    def per_s(self) -> float:
        """Operations in a second."""
        return self.number / self.wall_s

    @property
    def redis_us(self) -> float:
        """Microseconds of Redis for an operation."""
        return 1e6 * self.redis_s / self.number

    @property
    def client_us(self) -> float:
        """Microseconds of this process for an operation."""
        return 1e6 * self.client_s / self.number


def spend(at: Crowd, number: int, act: Callable[[], object]) -> Spent:
    """What `act` takes, which does `number` operations."""
    redis_s, client_s, started_s = at.cpu_s(), time.process_time(), time.perf_counter()
    act()
    wall_s, used_s = time.perf_counter() - started_s, time.process_time() - client_s
    return Spent(number, wall_s, at.cpu_s() - redis_s, used_s)


def median(rounds: Sequence[Spent], name: str) -> float:
    """The median of a property of :class:`Spent`."""
    return float(statistics.median(getattr(spent, name) for spent in rounds))


def host_name(number: int) -> str:
    """The host of that number."""
    return f"host{number:07}.example"


def url_of(number: int, hosts: int) -> str:
    """The URL of that number, of 56 characters; they take turns on so many hosts."""
    return f"https://{host_name(number % hosts)}/articles/2026/page-{number:09}"


def found_of(number: int, hosts: int) -> Found:
    """The link to that URL: its callback and its depth go with it, 79 bytes in all."""
    url = url_of(number, hosts)
    payload = encode(Link(url, CALLBACK, {"depth": 3}), MAX_BYTES)
    return Found(fingerprint_of_url(url), host_name(number % hosts), 0, payload)


async def tell_robots(member: Member, hosts: Sequence[str]) -> None:
    """A crawl knows the robots.txt of its hosts; they ask for nothing."""
    for some in batches(hosts, _HOSTS_AT_ONCE):
        await member.exchange(Batch(news=[News.robots(name, 0, _ROBOTS_TTL_MS) for name in some]))


async def put(member: Member, links: Iterable[Sequence[Found]]) -> None:
    """Hands in links, so many in each exchange as there are together."""
    for some in links:
        await member.exchange(Batch(found=list(some)))


async def take(
    member: Member, number: int, batch: int, use: Callable[[Sequence[Lease]], object] = lambda _: None
) -> None:
    """Leases so many requests, `batch` in an exchange, and completes them in the next. Raises
    :class:`BenchmarkError` where there are fewer.
    """
    held: list[Lease] = []
    while number > 0 or held:
        done = [lease.id for lease in held]
        held = (await member.exchange(Batch(done=done, want=min(batch, number)))).leases
        if number > 0 and not held:
            raise BenchmarkError(f"The frontier has {number} requests less than were queued.")
        use(held)
        number -= len(held)


def batches(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """`values` in slices of `size`."""
    return [values[first : first + size] for first in range(0, len(values), size)]
