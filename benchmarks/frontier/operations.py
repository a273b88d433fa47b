"""New links, seen links, leases with their completion, and whole pages: this project against scrapy-redis."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.fairness.crowd import Crowd, crowd
from benchmarks.frontier.contenders import Contender, Ours, OursFromRequests, Stock
from benchmarks.frontier.ground import Spent, median, spend
from benchmarks.harness import spread

OPERATIONS = ("new link", "seen link", "lease and completion", "page", "exchange of nothing")
"""A page: one new link, one lease, one completion, all in the same exchanges."""

_SMALLER = 4  # stock does so many times less


@dataclass(frozen=True)
class Plan:
    """So many links a round; `batch` in an exchange, on so many hosts."""

    links: int
    rounds: int
    hosts: int = 16
    batch: int = 64


PLAN = Plan(16_000, 7)
QUICK_PLAN = Plan(6_400, 3)


@dataclass(frozen=True)
class Measured:
    """One operation of one contender, all its rounds."""

    operation: str
    contender: str
    rounds: list[Spent]


def measure(plan: Plan) -> list[Measured]:
    """All contenders in turn, round by round."""
    kinds = (Stock, Ours, OursFromRequests)
    rounds: dict[tuple[str, str], list[Spent]] = {}
    with crowd("operations") as at:
        for _ in range(plan.rounds):
            for kind in kinds:
                with kind(at, plan.hosts, plan.batch) as contender:
                    for operation, spent in _measure(at, contender, plan):
                        rounds.setdefault((operation, kind.name), []).append(spent)
    order = {name: number for number, name in enumerate(OPERATIONS)}
    return [Measured(*at, spent) for at, spent in sorted(rounds.items(), key=lambda item: order[item[0][0]])]


def _measure(at: Crowd, contender: Contender, plan: Plan) -> Iterator[tuple[str, Spent]]:
    number = plan.links // (_SMALLER if isinstance(contender, Stock) else 1)
    links = [contender.link(index) for index in range(2 * number)]
    contender.put([contender.link(-1)])  # Redis keeps the scripts, connections stand
    yield "new link", spend(at, number, lambda: contender.put(links[:number]))
    yield "seen link", spend(at, number, lambda: contender.put(links[:number]))
    yield "page", spend(at, number, lambda: contender.crawl(links[number:]))
    yield "lease and completion", spend(at, number, lambda: contender.take(number))
    if type(contender) is Ours:
        exchanges = number // plan.batch
        yield "exchange of nothing", spend(at, exchanges, lambda: contender.rest(exchanges))


def table(measured: Sequence[Measured], plan: Plan) -> Table:
    """A line for each operation of each contender; ratios are medians of those of each round."""
    shown = Table(
        title=f"Operations in batches of {plan.batch}, {plan.hosts} hosts; {plan.rounds} rounds",
        caption="µs are those of CPU for one operation; x: as many times stock's rate, a fraction of its CPU",
    )
    for heading in ("operation", "", "per second", "x", "Redis µs", "x", "client µs", "x"):
        shown.add_column(heading, justify="left" if heading in {"operation", ""} else "right")
    stock = {one.operation: one.rounds for one in measured if one.contender == Stock.name}
    for one in measured:
        cells = [one.operation, one.contender]
        for name, digits in (("per_s", 0), ("redis_us", 1), ("client_us", 1)):
            all_rounds = [getattr(spent, name) for spent in one.rounds]
            cells.append(
                f"{median(one.rounds, name):.1f}" if name == "client_us" else spread(all_rounds, digits)
            )
            peer = stock.get(one.operation)
            ratio = _ratio(one.rounds, peer, name) if peer else None
            cells.append("" if ratio is None else f"{ratio:.1f}" if name == "per_s" else f"{ratio:.3f}")
        shown.add_row(*cells)
    return shown


def _ratio(rounds: Sequence[Spent], peer: Sequence[Spent], name: str) -> float:
    """What shares a round shares the noise of the machine."""
    pairs = zip(rounds, peer, strict=True)
    return float(statistics.median(getattr(one, name) / getattr(other, name) for one, other in pairs))


def figures(measured: Sequence[Measured]) -> list[dict[str, object]]:
    """The same as plain data, every round of it."""
    names = ("per_s", "redis_us", "client_us")
    stock = {one.operation: one.rounds for one in measured if one.contender == Stock.name}
    return [
        {
            "operation": one.operation,
            "contender": one.contender,
            **{name: median(one.rounds, name) for name in names},
            "of_stock": {name: _ratio(one.rounds, stock[one.operation], name) for name in names}
            if one.operation in stock
            else None,
            "rounds": [{name: getattr(spent, name) for name in names} for spent in one.rounds],
        }
        for one in measured
    ]
