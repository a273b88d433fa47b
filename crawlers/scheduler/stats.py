"""Counting, some forty times a page."""

from __future__ import annotations

from scrapy.statscollectors import MemoryStatsCollector


class StatsCollector(MemoryStatsCollector):
    """Scrapy's, without the two steps by which each access finds out that nobody hands it a spider."""

    __getattribute__ = object.__getattribute__
