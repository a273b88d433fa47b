"""What an operation costs and how many bytes a URL takes, with ever more URLs seen and ever more hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from itertools import pairwise

from rich.progress import track
from rich.table import Table

from benchmarks.fairness.crowd import crowd
from benchmarks.frontier.contenders import Stock
from benchmarks.frontier.growing import BATCH, Cost, Memory, data_bytes, growing, worst

FIXED_HOSTS = 1_000
FIXED_SEEN = 1_000_000

_FEW_HOSTS = 10
_QUEUED_EACH = 100  # requests of each of FIXED_HOSTS
_STOCK_QUEUED = 10_000
_AT_ONCE = 1_000


@dataclass(frozen=True)
class Plan:
    """Numbers of seen URLs, in order, and of hosts."""

    seen: Sequence[int]
    hosts: Sequence[int]


PLAN = Plan([10_000, 100_000, 1_000_000, 10_000_000], [10, 1_000, 100_000, 1_000_000])
QUICK_PLAN = Plan([10_000, 100_000, 1_000_000], [10, 1_000, 100_000])


@dataclass(frozen=True)
class BySeen:
    """Two growing crawls, of which one is but looked at; `worst` on the way from each size to the next."""

    costs: list[Cost]
    memory: list[Memory]
    worst: list[Memory]
    stock: list[Memory]


@dataclass(frozen=True)
class ByHosts:
    """One crawl. `bytes_each`: of a host, with one request queued and its robots.txt known."""

    cost: Cost
    bytes_each: float


@dataclass(frozen=True)
class Queued:
    """Bytes of a queued request: in long queues, and at scrapy-redis."""

    bytes_each: float
    stock_bytes_each: float


@dataclass(frozen=True)
class Growth:
    """All of it."""

    by_seen: BySeen
    by_hosts: list[ByHosts]
    queued: Queued


def measure(plan: Plan) -> Growth:
    """One crawl after the other, each on a Redis of its own."""
    return Growth(
        _by_seen(plan.seen),
        [_by_hosts(hosts) for hosts in track(plan.hosts, "growth: hosts")],
        Queued(_queued(), _stock_queued()),
    )


def _by_seen(sizes: Sequence[int]) -> BySeen:
    costs, memory, grown = [], [], []
    with growing(_FEW_HOSTS) as crawl:  # which leave what a URL takes to be seen
        for size in track(sizes, "growth: bytes"):
            grown += crawl.see(size)
            memory.append(crawl.memory())
    with growing(FIXED_HOSTS) as crawl:
        for size in track(sizes, "growth: cost"):
            crawl.see(size)
            costs.append(crawl.cost())
    on_the_way = [worst(grown, first, last) for first, last in pairwise(sizes)]
    return BySeen(costs, memory, on_the_way, _stock_seen(sizes))


def _by_hosts(hosts: int) -> ByHosts:
    with growing(hosts) as crawl:
        bytes_each = crawl.queue(1)
        crawl.see(FIXED_SEEN)
        return ByHosts(crawl.cost(), bytes_each)


def _queued() -> float:
    with growing(FIXED_HOSTS) as crawl:
        return crawl.queue(_QUEUED_EACH)


def _stock_seen(sizes: Sequence[int]) -> list[Memory]:
    """Fingerprints as its dupefilter writes them, but many at once."""
    memory, seen = [], 0
    with crowd("stock") as at:
        empty_bytes = data_bytes(at)
        for size in track(sizes, "growth: scrapy-redis"):
            while seen < size:
                numbers = range(seen, min(seen + _AT_ONCE, size))
                at.redis.sadd("dupefilter", *(sha1(b"%d" % number).hexdigest() for number in numbers))
                seen = numbers.stop
            memory.append(Memory(seen, (data_bytes(at) - empty_bytes) / seen))
    return memory


def _stock_queued() -> float:
    """As its scheduler queues requests that are not to be deduplicated."""
    with crowd("stock") as at, Stock(at, FIXED_HOSTS, BATCH) as stock:
        links = [stock.link(number).replace(dont_filter=True) for number in range(_STOCK_QUEUED)]
        empty_bytes = data_bytes(at)
        stock.put(links)
        return (data_bytes(at) - empty_bytes) / _STOCK_QUEUED


def tables(growth: Growth) -> list[Table]:
    """By URLs seen, by hosts, and the queue."""
    return [_seen_table(growth.by_seen), _hosts_table(growth.by_hosts), _queue_table(growth.queued)]


def _seen_table(by_seen: BySeen) -> Table:
    shown = Table(
        title=f"Redis' µs for an operation, bytes for a seen URL; {FIXED_HOSTS:,} hosts, batches of {BATCH}",
        caption="worst: the most bytes for a URL while they grew from the line above",
    )
    for heading in ("URLs seen", "new link", "seen link", "lease and completion", "bytes", "worst", "at"):
        shown.add_column(heading, justify="right")
    shown.add_column("scrapy-redis, bytes", justify="right")
    on_the_way = [("", ""), *((f"{one.bytes_each:.2f}", f"{one.seen:,}") for one in by_seen.worst)]
    lines = zip(by_seen.costs, by_seen.memory, on_the_way, by_seen.stock, strict=True)
    for cost, memory, most, stock in lines:
        sizes = (f"{memory.bytes_each:.2f}", *most, f"{stock.bytes_each:.1f}")
        shown.add_row(f"{memory.seen:,}", *_cells(cost), *sizes)
    return shown


def _hosts_table(by_hosts: Sequence[ByHosts]) -> Table:
    shown = Table(
        title=f"Redis' µs for an operation; {FIXED_SEEN:,} URLs seen, batches of {BATCH}",
        caption="bytes: of a host, with one request queued and its robots.txt known",
    )
    for heading in ("hosts", "new link", "seen link", "lease and completion", "bytes"):
        shown.add_column(heading, justify="right")
    for one in by_hosts:  # of a few, what a crawl takes as such is most
        bytes_each = f"{one.bytes_each:.0f}" if one.cost.hosts >= FIXED_HOSTS else ""
        shown.add_row(f"{one.cost.hosts:,}", *_cells(one.cost), bytes_each)
    return shown


def _cells(cost: Cost) -> list[str]:
    return [f"{us:.1f}" for us in (cost.new_us, cost.seen_us, cost.lease_us)]


def _queue_table(queued: Queued) -> Table:
    shown = Table(title=f"Bytes for a queued request, {_QUEUED_EACH} of each of {FIXED_HOSTS:,} hosts")
    shown.add_column("this project", justify="right")
    shown.add_column("scrapy-redis", justify="right")
    shown.add_row(f"{queued.bytes_each:.0f}", f"{queued.stock_bytes_each:.0f}")
    return shown
