"""Counting, some forty times a page."""

from __future__ import annotations

from scrapy.statscollectors import MemoryStatsCollector
from scrapy.statscollectors import StatsCollector as ScrapyStatsCollector

from crawlers.frontier import Batch, Reply


class StatsCollector(MemoryStatsCollector):
    """Scrapy's, without the two steps by which each access finds out that nobody hands it a spider."""

    __getattribute__ = object.__getattribute__


def count_exchange(stats: ScrapyStatsCollector, batch: Batch, reply: Reply) -> None:
    """Counts what went to the frontier and what came back."""
    stats.inc_value("frontier/exchanges")
    for name, number in (
        ("scheduler/enqueued", len(batch.found) - reply.known),
        ("scheduler/dequeued", len(reply.leases)),
        ("dupefilter/filtered", reply.known),
        ("frontier/done", len(batch.done)),
        ("frontier/failed", len(batch.failed)),
        ("frontier/released", len(batch.released)),
    ):
        if number:
            stats.inc_value(name, number)
