"""robots.txt, read once for the whole fleet."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from redis.exceptions import ResponseError
from scrapy import Request, signals
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http.request import NO_CALLBACK
from scrapy.utils.httpobj import urlparse_cached
from scrapy.utils.misc import build_from_crawler

from crawlers.frontier import News, ms_of
from crawlers.retrying import until_redis_answers

from .limits import CUT
from .marks import ROBOTS
from .robotstext import MOST_BYTES, Stopper, text_of
from .turns import UNREADABLE

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.robotstxt import RobotParser

    from crawlers.frontier import Frontier

    from .completion import Completion, Held
    from .turns import Turns
    from .worker import Worker

logger = logging.getLogger(__name__)

_MOST_KNOWN_BYTES = (
    8 * 1024 * 1024
)  # of texts whose parsers a worker remembers, which take several times that
_KNOWN_BYTES = 1000  # beside a text, for an empty one has a parser as well
_REMEMBERED_S = 3600.0  # in a worker; Redis keeps it for FRONTIER_ROBOTS_TTL_S


class _NotNow(Exception):
    """A robots.txt can't be had at this moment: nothing of its host may be fetched (RFC 9309, 2.3.1.4)."""


@dataclass(frozen=True, slots=True)
class _Robots:
    """A parsed robots.txt. `fetched`: the turn of a page was used for it just now. `size`: bytes of its text,
    and some for what else is kept.
    """

    parser: RobotParser
    delay_s: float
    until_s: float
    fetched: bool = False
    size: int = 0


class RobotsTxt(RobotsTxtMiddleware):
    """Scrapy's middleware, with one fetch per host for the fleet, in a turn of the host's like any other.

    What can't be had by a server's error or a timeout, or can't be decoded, means wait; what isn't there
    means free; what is too long counts as far as it is read. Its `Crawl-delay` holds for all workers. Spiders
    read `Sitemap` lines as with Scrapy, by the signal `robots_parsed`, which each worker sends when it reads
    a robots.txt, from the site or from Redis.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._default_useragent = self._default_useragent or "*"  # who sends no name obeys what is for all
        self._ttl_s = crawler.settings.getfloat("FRONTIER_ROBOTS_TTL_S")
        self._most_delay_s = 0.0
        self._most_bytes = crawler.settings.getint("FRONTIER_ROBOTS_BYTES")
        self._known: dict[str, _Robots] = {}
        self._known_bytes = 0
        self._under_way: dict[str, asyncio.Task[_Robots]] = {}
        self._worker: Worker | None = None
        self._stopper = Stopper(crawler.signals)
        self._frontier: Frontier
        self._completion: Completion
        self._turns: Turns

    def bind(self, worker: Worker, completion: Completion, frontier: Frontier, turns: Turns) -> None:
        """Whose requests these are. Without, as with a scheduler of Scrapy's, it does what Scrapy's does."""
        self._worker, self._completion, self._frontier = worker, completion, frontier
        self._turns = turns
        self._most_delay_s = self.crawler.settings.getfloat("FRONTIER_CRAWL_DELAY_MAX_S")

    async def process_request(self, request: Request) -> Request | None:  # type: ignore[override]
        """Lets a page pass, ignores one that is forbidden, or gives it back until its host can be asked."""
        if self._worker is None:
            await super().process_request(request)
            return None
        held = self._completion.held(request)
        scout = held is not None and held.lease.scout
        if request.meta.get("dont_obey_robotstxt") or not _has_robots(request):
            if scout:
                self._tell(held, 0)
            return None
        try:
            robots = await self._robots_of(request, held)
        except _NotNow:
            if held is None:
                raise IgnoreRequest("robots.txt can't be had") from None
            return self._completion.give_back(request)
        if held is not None and (scout or robots.fetched):
            self._tell(held, robots.delay_s)
        self.process_request_2(robots.parser, request)
        if held is not None and robots.fetched and (held.lease.timed or robots.delay_s):
            return self._completion.give_back(request)
        return None

    def _tell(self, held: Held | None, delay_s: float) -> None:
        assert self._worker is not None
        if held is not None:
            self._worker.manners.tell(News.robots(held.lease.host, ms_of(delay_s), ms_of(self._ttl_s)))

    async def _robots_of(self, request: Request, held: Held | None) -> _Robots:
        url = urlparse_cached(request)
        origin = f"{url.scheme}://{url.netloc}"
        known = self._known.get(origin)
        if known is not None and asyncio.get_running_loop().time() < known.until_s:
            return known
        if origin in self._under_way:
            robots = await asyncio.shield(self._under_way[origin])
            return _Robots(robots.parser, robots.delay_s, robots.until_s)
        task = asyncio.ensure_future(self._read(origin, request, held))
        self._under_way[origin] = task
        try:
            robots = await task
        finally:
            del self._under_way[origin]
        self._remember(origin, replace(robots, fetched=False))
        return robots

    def _remember(self, origin: str, robots: _Robots) -> None:
        """What was read longest ago makes room: it is still in Redis, or is asked for again."""
        if old := self._known.pop(origin, None):
            self._known_bytes -= old.size
        self._known[origin] = robots
        self._known_bytes += robots.size
        while self._known_bytes > _MOST_KNOWN_BYTES and len(self._known) > 1:
            self._known_bytes -= self._known.pop(next(iter(self._known))).size

    async def _read(self, origin: str, request: Request, held: Held | None) -> _Robots:
        text, fetched = await self._kept(origin), False
        if text is None:
            text, fetched = await self._fetch(origin, held), True
            ttl_ms = max(1, ms_of(self._ttl_s))
            keep, most = self._frontier.keep_robots, self._most_bytes
            await until_redis_answers(lambda: keep(origin, text, ttl_ms, most), self._frontier.patience_s)
        parser: RobotParser = build_from_crawler(self._parserimpl, self.crawler, text)
        await self.crawler.signals.send_catch_log_async(
            signal=signals.robots_parsed, robotparser=parser, request=request
        )
        agent = self._robotstxt_useragent or self._default_useragent
        delay_s = ms_of(parser.crawl_delay(agent)) / 1000
        if fetched and 0 < self._most_delay_s < delay_s:
            self._say_capped(origin, delay_s)
        now_s = asyncio.get_running_loop().time()
        until_s = now_s + min(self._ttl_s, _REMEMBERED_S)
        return _Robots(parser, delay_s, until_s, fetched, size=len(text) + _KNOWN_BYTES)

    def _say_capped(self, origin: str, delay_s: float) -> None:
        saying = "%s asks in its robots.txt for %g s between requests; FRONTIER_CRAWL_DELAY_MAX_S allows %g s"
        logger.warning(saying, origin, delay_s, self._most_delay_s)

    async def _kept(self, origin: str) -> bytes | None:
        try:
            return await until_redis_answers(lambda: self._frontier.robots(origin), self._frontier.patience_s)
        except ResponseError:  # something else is under that key, to be written over
            return None

    async def _fetch(self, origin: str, held: Held | None) -> bytes:
        """The text of a robots.txt, in the turn of the page that `held` is."""
        robots = Request(
            f"{origin}/robots.txt",
            priority=self.DOWNLOAD_PRIORITY,
            meta={
                "dont_obey_robotstxt": True,
                "dont_retry": True,
                "download_maxsize": 0,  # it is cut, not refused
                CUT: MOST_BYTES + 1,
                ROBOTS: True,
            },
            callback=NO_CALLBACK,
        )
        if held is not None:
            self._completion.lend_turn(robots, held)
        self._stats.inc_value("robotstxt/request_count")
        assert self.crawler.engine is not None
        try:
            with self._stopper.at_work():
                response = await self.crawler.engine.download_async(robots)
        except IgnoreRequest:
            return b""
        except Exception as error:
            self._stats.inc_value(f"robotstxt/exception_count/{type(error)}")
            if not isinstance(error, UNREADABLE):
                raise
            self._turns.unreadable(robots, error)
            raise _NotNow from error
        return self._text(response, robots)

    def _text(self, response: Response, robots: Request) -> bytes:
        self._stats.inc_value("robotstxt/response_count")
        self._stats.inc_value(f"robotstxt/response_status_count/{response.status}")
        if response.status >= 500 or response.status == 429:
            raise _NotNow
        if response.status >= 400:
            return b""
        self._turns.readable(robots, response)
        return text_of(response)


def _has_robots(request: Request) -> bool:
    return urlparse_cached(request).scheme in ("http", "https")
