"""This project's worker with its queue and its seen set in memory: what is left when nothing is shared.

A queue of Python's and a set take the place of the frontier, with nothing held back: no leases, no turns, no
Redis, nothing left after the process ends. What comes before, early drop and `Links`, stays as it is.
"""

from __future__ import annotations

from collections import deque

from scrapy import Request, Spider
from scrapy.core.scheduler import BaseScheduler
from scrapy.crawler import Crawler

from crawlers.frontier import Found, Lease, Refused
from crawlers.scheduler.lean import make_lean
from crawlers.scheduler.requests import RequestCodec
from crawlers.scheduler.sieve import LinkSieve

MOST_BYTES = 512 * 1024


class MemoryScheduler(BaseScheduler):
    """A scheduler, and for the sieve next to the spider also the worker that takes its links."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._seen: set[int] = set()
        self._queue: deque[Request | Found] = deque()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> MemoryScheduler:
        """As Scrapy builds its components."""
        return cls(crawler)

    def open(self, spider: Spider) -> None:
        """Take the links of this spider's pages."""
        fingerprinter = self._crawler.request_fingerprinter
        assert fingerprinter is not None
        self._codec = RequestCodec(spider, fingerprinter, lambda _failure: None, MOST_BYTES)
        sieve = self._crawler.get_spider_middleware(LinkSieve)
        assert sieve is not None
        sieve.bind(self._codec, self, self.enqueue_request)  # type: ignore[arg-type]
        make_lean(self._crawler)

    def has_pending_requests(self) -> bool:
        """Whether anything is queued."""
        return bool(self._queue)

    def enqueue_request(self, request: Request) -> bool:
        """Queue a request; False if it was seen."""
        fingerprint = self._codec.fingerprint(request)
        if fingerprint is not None and fingerprint in self._seen:
            self._crawler.stats.inc_value("dupefilter/filtered")
            return False
        if fingerprint is not None:
            self._seen.add(fingerprint)
        self._queue.append(request)
        return True

    def next_request(self) -> Request | None:
        """The oldest of all."""
        if not self._queue:
            return None
        oldest = self._queue.popleft()
        if isinstance(oldest, Request):
            return oldest
        return self._codec.to_request(Lease(0, oldest.host, oldest.priority, 0, oldest.payload))

    # What the sieve asks of a worker --------------------------------------------------------------------

    def knows(self, fingerprint: int) -> bool:
        """Whether it was seen."""
        return fingerprint in self._seen

    def put(self, found: Found) -> None:
        """Queue one of Links."""
        assert found.fingerprint is not None
        self._seen.add(found.fingerprint)
        self._queue.append(found)

    def refuse(self, refused: Refused) -> None:
        """None is expected here."""
        raise ValueError(refused.reason)
