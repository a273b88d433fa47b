"""Scrapy's scheduler on the shared frontier."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, NoReturn

from redis.exceptions import RedisError
from scrapy import signals
from scrapy.core.scheduler import BaseScheduler
from scrapy.utils.defer import deferred_from_coro

from crawlers.deep import ChunkStore, DeadLetters, Memory, Mover, Remembrance
from crawlers.failures import fail
from crawlers.frontier import (
    BadPayload,
    Deep,
    Frontier,
    FrontierError,
    NotPlainData,
    Refused,
    Unknown,
    connect,
    examine,
    refusal,
)
from crawlers.intake import Intake
from crawlers.mongo import BadMongoSetting, MongoConfig, MongoUnreachable
from crawlers.options import unknown
from crawlers.retrying import RedisUnreachable, until_redis_answers

from .completion import Completion, UnknownScrapy
from .config import BadSetting, Config, one_of
from .continuing import Circle, Continuations
from .cookies import SharedCookies
from .hostkeys import host_of
from .ignored import IGNORED, ignored
from .inside import Guard, guard_reactor
from .job import differences, job_of
from .lean import make_lean
from .limits import Limits
from .loss import LOST, FrontierLost
from .marks import START
from .plainurls import PlainUrls
from .politeness import Downloader
from .requests import RequestCodec
from .robots import RobotsTxt
from .rotation import RotatingProxies
from .sieve import LinkSieve
from .turns import Turns
from .waiting import Vigil
from .wiring import has_store, lacks_addon, lacks_store, store_of
from .witness import heartbeat_for
from .worker import Worker

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from twisted.internet.defer import Deferred

logger = logging.getLogger(__name__)

# In the USER_AGENT of a project whose user has not said who asks.
NOBODY = "set USER_AGENT to name and contact"
_OTHER_JOB = (
    "This worker was started otherwise than the first of the crawl %r, and pages run under either: -a"
    " crawl=NAME keeps them apart"
)
_MOST_PREVIEW = 500  # bytes of what couldn't be queued that its dead letter shows


class Scheduler(BaseScheduler):
    """Hands Scrapy the requests that this worker has leased, and the frontier the links it found.

    `enqueue_request` and `next_request` only touch memory: they never wait and never raise.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._tasks: list[asyncio.Task[None]] = []
        self._memory: Remembrance | None = None  # none where there is no MongoDB in use

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Scheduler:
        """As Scrapy builds its components."""
        return cls(crawler)

    # Scrapy's API --------------------------------------------------------------------------------------

    def open(self, spider: Spider) -> Deferred[None]:
        """Joins the crawl. Closes the spider with a clear message where that can't be done."""
        return deferred_from_coro(self._open(spider))

    def close(self, reason: str) -> Deferred[None]:  # noqa: ARG002  # Scrapy's signature
        """Hands in what is done and gives back what isn't."""
        return deferred_from_coro(self._close())

    def has_pending_requests(self) -> bool:
        """Whether anything is left to be crawled, by whichever worker: False ends the crawl."""
        return not self._worker.finished

    def enqueue_request(self, request: Request) -> bool:
        """Takes a request for the frontier; False if it is known to have been seen."""
        if self._completion.is_given_back(request):
            return True
        try:
            if START in request.meta:
                self._worker.open_inside(host_of(request))
            fingerprint = self._codec.fingerprint(request)
            page = self._continuations.page_of(request)
            if page is not None and self._continuations.comes_back(request, page):
                fingerprint = None  # seen, but by this very page
            if fingerprint is not None and self._worker.knows(fingerprint):
                self._crawler.stats.inc_value("dupefilter/filtered")
                return False
            self._worker.put(self._codec.to_found(request, fingerprint))
        except NotPlainData as error:
            self._worker.refuse(self._refused(request, str(error)))
        except Circle as error:
            assert page is not None
            self._completion.runs_in_circles(page, str(error))
            return False
        except Exception as error:  # a fingerprinter of the user's, an odd request: not to be lost
            logger.exception("Can't queue %s", request)
            self._worker.refuse(self._refused(request, f"{type(error).__name__}: {error}"))
        return True

    def next_request(self) -> Request | None:
        """The next leased request, or None if there is none at this moment."""
        while held := self._worker.take():
            try:
                request = self._codec.to_request(held.lease)
            except Unknown as error:
                self._worker.park(held.lease, str(error))
                continue
            except BadPayload as error:
                self._worker.spoil(held.lease, str(error))
                continue
            self._completion.track(request, held)
            return request
        return None

    # Behind it -----------------------------------------------------------------------------------------

    def _refused(self, request: Request, reason: str) -> Refused:
        return Refused("request", request.url.encode()[:_MOST_PREVIEW], reason)

    async def _open(self, spider: Spider) -> None:
        if getattr(spider, "crawler", None) is None:  # its own from_crawler need not call Scrapy's
            spider.crawler, spider.settings = self._crawler, self._crawler.settings
        self._crawler.signals.connect(self._spider_opened, signals.spider_opened)
        self._completion = Completion(self._crawler)
        try:
            config = self._config = Config.of(spider)
            self._name_ignored()
            if sentence := lacks_store(self._crawler):
                logger.warning("%s", sentence)
            Limits.of(self._crawler.settings)
            self._client = connect(self._crawler.settings)
            self._frontier = Frontier(self._client, config.crawl, replicas=config.replicas)
            self._frontier.patience_s = self._patience_s
            self._codec = self._codec_for(spider, config)
            self._worker = self._worker_for(self._frontier, config)
            self._store = ChunkStore(MongoConfig.of(self._crawler.settings))
            self._bind_politeness()
            for sentence in await until_redis_answers(self._examine, config.patience_s):
                logger.warning("%s", sentence)
            await until_redis_answers(self._bind_proxies, config.patience_s)
            if sieve := self._crawler.get_spider_middleware(LinkSieve):
                sieve.bind(self._codec, self._worker, self.enqueue_request)
            if self._crawler.settings.getbool("FRONTIER_LEAN"):
                make_lean(self._crawler)
            self._continuations = Continuations(self._crawler.request_fingerprinter, config.page_returns)
            self._completion.engine.on_continuation(self._continuations.hear)
            await until_redis_answers(self._check_fingerprinter, config.patience_s)
            if store := store_of(self._crawler):
                await store.connect()
            self._heartbeat = heartbeat_for(self._crawler, config, self._completion, self._worker)
            self._codec.run = await until_redis_answers(self._worker.join, config.patience_s)
            await until_redis_answers(lambda: self._compare_jobs(spider), config.patience_s)
        except (BadSetting, BadMongoSetting, MongoUnreachable, FrontierError) as error:
            self._give_up(str(error))
        except RedisUnreachable as error:
            self._give_up(f"{error}. Gave up after {config.patience_s:g} s")
        except RedisError as error:
            self._give_up(refusal(error))
        self._start(self._worker.run())

    def _patience_s(self) -> float | None:
        """How long a page under way may wait for Redis: it must not keep the engine from closing."""
        return self._config.patience_s if self._completion.engine.is_closing() else None

    def _name_ignored(self) -> None:
        named, refused = ignored(self._crawler.settings)
        for sentence in (*named, *unknown(self._crawler.settings, IGNORED)):
            logger.warning("%s", sentence)
        if refused:
            raise BadSetting(". ".join(refused))

    async def _compare_jobs(self, spider: Spider) -> None:
        """Says what this worker was started with otherwise than others of its run: pages run under either."""
        job = job_of(spider)
        found = differences(job, await self._frontier.first_job(self._codec.run, job))
        if found and one_of(self._crawler.settings, "FRONTIER_OTHER_JOBS", ("warn", "refuse")) == "refuse":
            await self._worker.close()
            raise BadSetting(f"{_OTHER_JOB % self._config.crawl}: {'; '.join(found)}")
        if found:
            logger.warning(f"{_OTHER_JOB}: %s", self._config.crawl, "; ".join(found))

    async def _examine(self) -> list[str]:
        return await examine(self._client, self._frontier.keys[0])

    async def _check_fingerprinter(self) -> None:
        """A crawl imported from scrapy-redis has seen URLs under other fingerprints than Scrapy's."""
        persist = self._config.terms.persist
        is_scrapy_redis = getattr(self._crawler.request_fingerprinter, "is_scrapy_redis", False)
        if not is_scrapy_redis and await self._frontier.has_scrapy_redis_fingerprints(persist=persist):
            raise BadSetting(
                f"the crawl {self._config.crawl!r} was imported from scrapy-redis: set"
                " REQUEST_FINGERPRINTER_CLASS to crawlers.migration.ScrapyRedisFingerprinter until it has"
                " finished, or what it has seen would be fetched again"
            )

    def _give_up(self, sentence: str) -> NoReturn:
        """Ends the process with a sentence; any other exception comes with a traceback or exits with 0."""
        logger.critical("%s", sentence)
        raise SystemExit(1)

    def _codec_for(self, spider: Spider, config: Config) -> RequestCodec:
        return RequestCodec(
            spider,
            self._crawler.request_fingerprinter,
            self._completion.download_failed,
            config.max_bytes,
            config.request_classes,
            config.host_keys,
        )

    def _worker_for(self, frontier: Frontier, config: Config) -> Worker:
        engine = self._completion.engine
        return Worker(frontier, config, self._completion, self._crawler.stats, engine.nudge)

    def _bind_politeness(self) -> None:
        turns = self._crawler.get_downloader_middleware(Turns)
        if turns is None:
            raise BadSetting(f"{lacks_addon(self._crawler)}: it keeps the delays")
        if isinstance(downloader := self._crawler.engine.downloader, Downloader):
            downloader.guard = Guard(self._frontier, self._config.inside_networks)
        turns.bind(self._worker, self._completion, self._frontier, self._config.host_keys)
        if robots := self._crawler.get_downloader_middleware(RobotsTxt):
            robots.bind(self._worker, self._completion, self._frontier, turns)
        if cookies := self._crawler.get_downloader_middleware(SharedCookies):
            shares = one_of(self._crawler.settings, "FRONTIER_COOKIES", ("shared", "worker")) == "shared"
            cookies.bind(self._worker, self._frontier, shares=shares)
        if NOBODY in (self._crawler.settings["USER_AGENT"] or ""):
            logger.warning("USER_AGENT names nobody: set it, or CRAWLER_USER_AGENT, to a name and an address")

    async def _bind_proxies(self) -> None:
        if rotating := self._crawler.get_downloader_middleware(RotatingProxies):
            await rotating.bind(self._completion, self._client)
            self._config.host_keys.exit_of = rotating.name_for

    def _spider_opened(self, spider: Spider) -> None:
        """Only now has the engine all that completion reads, and can be given requests."""
        try:
            self._completion.engine.check()
            self._start_loops(spider)
        except UnknownScrapy as error:
            self._give_up(str(error))
        except Exception:  # Scrapy would log it and go on, without start URLs, to an end that looks well
            logger.exception("The worker can't start")
            self._give_up("The worker can't start, for the reason above")

    def _start_loops(self, spider: Spider) -> None:
        if self._crawler.settings.getbool("TWISTED_REACTOR_ENABLED"):
            guard_reactor()
        intake = Intake(
            spider,
            self._frontier,
            self._worker,
            keys=self._config.start_urls,
            hold_ms=self._config.terms.ttl_ms,
            max_bytes=self._config.max_bytes,
            pushed_meta=self._config.pushed_meta,
            stock_messages=self._crawler.settings.getbool("FRONTIER_STOCK_MESSAGES"),
            plain=PlainUrls(self._crawler, self._codec, self._config.host_keys, self._worker),
        )
        self._worker.intake = intake
        self._start(intake.run())
        self._start(Vigil(self._client, self._config, self._completion, intake, self._crawler.stats).run())
        mover = self._mover()
        self._start(mover.run())
        self._remember(mover)
        self._start(
            DeadLetters(self._client, self._config.crawl, self._store.letters, self._config.dead).run()
        )

    def _remember(self, mover: Mover) -> None:
        if has_store(self._crawler.settings):
            crawl, flushed = self._config.crawl, self._config.flush
            self._memory = Remembrance(
                self._client, crawl, self._store.runs, lambda: mover.moves, flushed=flushed
            )
            self._start(self._memory.run())

    def _mover(self) -> Mover:
        config, crawl = self._config, self._config.crawl
        return Mover(
            Deep(self._client, crawl, config.worker),
            self._store,
            Memory(self._client, crawl),
            crawl,
            limit=config.queued_in_redis,
            chunk=config.terms.chunk,
            hold_back=self._worker.hold_back,
        )

    def _start(self, loop: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(loop)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A loop that ends by an error ends the worker, loudly: its leases would be renewed for ever."""
        if not task.cancelled() and (error := task.exception()):
            is_lost = isinstance(error, FrontierLost)
            logger.critical(
                "%s", error if is_lost else "The worker can't go on", exc_info=not is_lost and error
            )
            self._heartbeat.stop()
            assert self._crawler.engine is not None
            reason = LOST if is_lost else "frontier_error"
            deferred_from_coro(self._crawler.engine.close_spider_async(reason=reason))

    async def _close(self) -> None:
        if not self._tasks:  # it could not even be opened
            return
        run, *others = self._tasks
        for task in others:
            task.cancel()
        self._worker.stop()
        await asyncio.wait(self._tasks, timeout=self._config.patience_s)
        try:
            if run.done() and not run.exception():
                await self._worker.close()
                if self._memory:
                    await self._memory.end()
            elif not run.done() or not isinstance(run.exception(), FrontierLost):
                run.cancel()
                raise RedisUnreachable("The last exchange did not end")
        except FrontierLost as error:
            logger.critical("%s", error)
        except RedisUnreachable as error:
            ttl_s = self._config.terms.ttl_ms / 1000
            self._heartbeat.stop()
            logger.error("%s. Others take over what this worker held in %g s", error, ttl_s)
            fail(self._crawler, str(error))
        except Exception as error:  # Scrapy logs it, and goes on to an end that looks well
            fail(self._crawler, f"the scheduler could not be closed: {type(error).__name__}: {error}")
            raise
        finally:
            self._heartbeat.stop()
            await self._client.aclose()
            await self._store.aclose()
