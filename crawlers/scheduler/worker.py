"""A worker's side of the frontier: an outbox, a buffer, and one exchange at a time between them.

What gathers while an exchange is under way goes with the next, so that batching needs no tuning. Nothing
in here makes Scrapy wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from crawlers.frontier import Batch, Counts, Failed, Found, Frontier, Lease, Member, Refused, Reply
from crawlers.retrying import until_redis_answers

from .completion import Ended, Held
from .load import MOST_ENDED, MOST_WANTED
from .loss import Watch
from .manners import Manners
from .outbox import Outbox
from .pace import LINGER_S, Pace
from .parking import Parking
from .spares import Spares
from .stats import count_exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.statscollectors import StatsCollector

    from crawlers.intake import Intake

    from .completion import Completion
    from .config import Config

logger = logging.getLogger(__name__)


class Worker:
    """One worker from join to leave. `on_change` is called when there is something for the engine."""

    def __init__(
        self,
        frontier: Frontier,
        config: Config,
        completion: Completion,
        stats: StatsCollector,
        on_change: Callable[[], None],
    ) -> None:
        self.finished = self.takes_start_urls = False
        self.intake: Intake | None = None
        self.on_join: Callable[[str], None] = lambda _: None  # told each name it goes by
        self._frontier = frontier
        self._config = config
        self._completion = completion
        self._stats = stats
        self._on_change = on_change
        self._member: Member
        self._ended = Ended()
        self._buffer: deque[Held] = deque()
        self._spares = Spares()
        self.counts, self.workers = Counts(), 1  # of the crawl, by the last exchange
        self._wake = asyncio.Event()
        self._clock = time.monotonic  # that of its heartbeat as well
        self._outbox = Outbox(self._wake.set, self._clock, config.host_keys)
        self.open_inside = self._outbox.open_inside
        self.manners = Manners(config.terms.start_ms / 1000, self._wake.set, self._clock, self._spare)
        self._sent_at, self._ask_at, self._busy_at = 0.0, 0.0, self._clock()
        self._pace = Pace()
        self._parking = Parking(config.unknown_wait_s, self._stats)
        self._stopping = self._deaf = self._held_back = self._short = False
        self._run, self._watch = 0, Watch(frontier.crawl, self._clock)

    @property
    def poll_s(self) -> float:
        """How often to look for start URLs, in seconds."""
        return self._pace.poll_s

    # What Scrapy's side calls: memory only -------------------------------------------------------------

    def knows(self, fingerprint: int) -> bool:
        """This worker knows that a link was seen, by itself or by what waits in its outbox."""
        return self._outbox.knows(fingerprint)

    def put(self, found: Found) -> None:
        """Hands a link over, to go out with the next exchange."""
        if self._deaf:
            self._stats.inc_value("frontier/too_late")
            return
        self._outbox.put(found)
        self.finished = False
        if not self._buffer:
            self._wake.set()

    def refuse(self, refused: Refused) -> None:
        """Sets aside what can't be crawled, among the dead letters."""
        logger.warning("Set aside (%s) %.200r: %s", refused.source, refused.payload, refused.reason)
        self._stats.inc_value("frontier/refused")
        self._outbox.refuse(refused)

    def spoil(self, lease: Lease, reason: str) -> None:
        """Ends a lease of which no request can be made, among the dead letters."""
        logger.warning("Set aside (queue of %s): %s", lease.host, reason)
        self._ended.failed.append(Failed(lease.id, reason, final=True))
        self._buffer.extend(self._spares.follow([lease.host]))

    def park(self, lease: Lease, reason: str) -> None:
        """Gives a lease back that a newer worker may know to run."""
        self._parking.add(lease.id, reason)
        self._buffer.extend(self._spares.follow([lease.host]))

    def take(self) -> Held | None:
        """The next lease to be fetched, or None if there is none at this moment."""
        if self._spares and not self._buffer:
            self._sweep()
        held = self._buffer.popleft() if self._buffer else None
        if self._is_hungry():
            self._wake.set()
        return held

    async def flushed(self) -> None:
        """Returns when all that was put or refused until now is in the frontier."""
        await self._outbox.flushed()

    def hold_back(self, full: bool) -> None:
        """Takes no more leases and start URLs, for Redis is nearly full; or does again."""
        self._held_back, self._ask_at = full, 0.0
        self._wake.set()

    # The loop ------------------------------------------------------------------------------------------

    async def join(self) -> int:
        """Enters the crawl and returns its run, counted from 1. Only the first time it may be flushed."""
        flush = self._config.flush and not self._run
        self._member, joined = await self._frontier.join(
            self._config.worker, self._config.terms, flush=flush, run=self._run
        )
        if flush and joined.workers:
            logger.warning("SCHEDULER_FLUSH_ON_START ignored: other workers are at this crawl")
        logger.info(
            "Joined the crawl %r, run %d, as %s: %d other workers, %d requests queued, %d URLs seen",
            *(self._frontier.crawl, joined.run, self._member.name),
            *(joined.workers, joined.queued, joined.seen),
        )
        if joined.over or self._run not in (0, joined.run):
            self._forget_the_run()
        self._run = joined.run
        self.on_join(self._member.name)
        self._watch.joined(joined)
        return joined.run

    async def run(self) -> None:
        """Exchanges whenever there is a reason to, until :meth:`close`."""
        while not self._stopping:
            if (delay_s := self._next_exchange_in()) > 0:
                timer = asyncio.get_running_loop().call_later(delay_s, self._wake.set)
                await self._wake.wait()
                timer.cancel()
            self._wake.clear()
            if self._next_exchange_in() <= 0:
                await self._exchange()

    def stop(self) -> None:
        """Lets :meth:`run` end after the exchange under way."""
        self._stopping = True
        self._wake.set()

    async def close(self) -> None:
        """Hands in what is left, gives back what is leased, and leaves. To be called after `run`.

        Raises :class:`RedisUnreachable`: then the leases end with the worker's time to live.
        """
        self._buffer.clear()
        self._spares.clear()
        self._sweep()
        while self._has_news():
            await self._exchange(want=0)
        if await until_redis_answers(self._member.leave, self._config.patience_s):
            await until_redis_answers(self._frontier.purge, self._config.patience_s)

    def _room(self) -> int:
        if self._deaf or self._held_back:
            return 0
        return self._config.capacity - self._waiting() - len(self._completion)

    def _waiting(self) -> int:
        return len(self._buffer) + len(self._spares)

    def _is_hungry(self) -> bool:
        return self._waiting() <= self._config.prefetch // 2 and self._room() > 0

    def _has_news(self) -> bool:
        return bool(self._ended or self._parking or self._outbox.pressing or self.manners.pressing)

    def _spare(self, host: str) -> None:
        """`host` is to be left alone: what waits for a slot there goes back to the queue."""
        self._ended.released += self._spares.drop(host)

    def _sweep(self) -> bool:
        """Sees to pages that are over. Whether spares may start in their places."""
        if self._deaf and self._completion.engine.quiet():
            self._deaf, self._ask_at = False, 0.0
        following = self._spares.follow(self._completion.sweep(self._ended))
        self._buffer.extend(following)
        return bool(following)

    def _next_exchange_in(self) -> float:
        """Seconds until the next exchange is due; 0 or less: now."""
        now = self._clock()
        if self._is_hungry() and now >= self._ask_at:
            return 0
        if self._sweep():
            self._on_change()
        heartbeat_at = self._sent_at + self._config.terms.ttl_ms / 3000
        if self._has_news():
            # A host waits to hear that it was asked; what is done and found can wait.
            linger_s = LINGER_S if self.manners.pressing else self._pace.linger_s
            return 0 if not self._waiting() else self._sent_at + linger_s - now
        due_at = min(heartbeat_at, self._ask_at) if self._is_hungry() else heartbeat_at
        if len(self._completion) or self._deaf:  # pages under way end without a sign
            due_at = min(due_at, now + LINGER_S)
        return due_at - now

    async def _exchange(self, want: int | None = None) -> None:
        if self._parking:
            await until_redis_answers(self._parking.hand_in(self._member))
        await self._outbox.find_hosts()
        batch = self._gather(want)
        prepared = self._member.prepare(batch)
        self._sent_at = self._clock()
        reply = await until_redis_answers(
            lambda: self._member.send(prepared),
            self._config.patience_s if self._stopping else None,
        )
        if reply.fenced:
            await self._come_back(batch, reply)
        else:
            self._apply(batch, reply)

    def _gather(self, want: int | None) -> Batch:
        """Completions go with the last of the links, never before: so no page outruns its links."""
        if self._sweep():
            self._on_change()
        batch = Batch(want=max(min(self._room(), MOST_WANTED), 0) if want is None else want)
        batch.slots = max(0, self._completion.engine.free_slots() - len(self._buffer))
        self.manners.fill(batch)
        if self._short or self._spares:
            batch.spares = self._spares.slots(self._completion.hosts(), self._buffer)[:MOST_ENDED]
        if self._outbox.fill(batch):
            ended = self._ended.take(MOST_ENDED)
            batch.done, batch.failed, batch.released = ended.done, ended.failed, ended.released
            batch.idle = self._is_idle(batch)
            self._spares.told()
        return batch

    def _is_idle(self, batch: Batch) -> bool:
        if self._deaf:
            return True
        now = self._clock()
        if batch.found or not self._completion.engine.quiet() or self.counts.queued or self.counts.leased:
            self._busy_at = now
        if self._config.wait_s is None or now - self._busy_at < self._config.wait_s:
            return False
        return self._completion.engine.quiet() and (self.intake is None or self.intake.empty)

    def _apply(self, batch: Batch, reply: Reply) -> None:
        now = self._clock()
        self.counts, self.workers = reply.counts, reply.workers
        self._watch.hear(reply)
        self.takes_start_urls = not (reply.sealed or self._deaf or self._held_back)
        self._pace.hear(reply)
        self._short = len(reply.leases) < batch.want
        self._ask_at = now + self._pace.pause_s(reply) if self._short else now
        self._outbox.entered(batch)
        count_exchange(self._stats, batch, reply)
        for host in reply.spent:
            logger.warning("%s has had all the pages it is allowed; further links to it are dropped", host)
        self.manners.alive_until_s = self._sent_at + self._config.terms.ttl_ms / 1000
        changed = self._keep(reply) or (reply.finished and not self.finished)
        self.finished = reply.finished and not self._outbox
        if changed:
            self._on_change()

    def _keep(self, reply: Reply) -> bool:
        """Who has a host's turn goes first, for others can't have it meanwhile. Whether any may start."""
        held = self._spares.sort([Held(lease, self._sent_at) for lease in reply.leases], reply.spares)
        for host in reply.spared:
            self._spare(host)
        self._buffer.extendleft(h for h in reversed(held) if h.lease.timed)
        self._buffer.extend(h for h in held if not h.lease.timed)
        return bool(held)

    async def _come_back(self, batch: Batch, reply: Reply) -> None:
        """Fenced: the leases are others' now. Links found stay true and go out under a new name."""
        held, ttl_s = self._waiting() + len(self._completion), self._config.terms.ttl_ms / 1000
        is_behind = self._watch.fenced(reply, self._member.name, ttl_s, held)
        self._stats.inc_value("frontier/fenced")
        self._outbox.put_back(batch, is_behind=is_behind)
        self.manners.put_back(batch)
        self._buffer.clear()
        self._spares.clear()
        self._parking.clear()
        self._ended, self._ask_at = Ended(), 0.0
        self._completion.forget_all()
        if self.intake:
            self.intake.doubt()
        await until_redis_answers(self.join, self._config.patience_s if self._stopping else None)

    def _forget_the_run(self) -> None:
        """The run that this worker was at was cleared, or ended without it. What its last pages lead to
        must not start the next one: until Scrapy is done with them it takes no links and no leases.
        """
        self._outbox.clear()
        self._deaf, self.takes_start_urls = True, False
