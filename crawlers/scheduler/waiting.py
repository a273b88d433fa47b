"""A worker with nothing to do says why, once: a crawl that stands still must not look like one at work."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from crawlers.frontier import FrontierError
from crawlers.frontier.operations import Crawl, Waiting, waiting_for

if TYPE_CHECKING:
    from scrapy.statscollectors import StatsCollector

    from crawlers.frontier import Client
    from crawlers.intake import Intake

    from .completion import Completion
    from .config import Config

logger = logging.getLogger(__name__)

_LOOK_S = 1.0


class Vigil:
    """Looks whether pages of this worker end. After `config.quiet_s` without it says what is waited for.

    What was said is said again only after it was something else meanwhile.
    """

    def __init__(
        self,
        client: Client,
        config: Config,
        completion: Completion,
        intake: Intake,
        stats: StatsCollector,
    ) -> None:
        self._client = client
        self._config = config
        self._completion = completion
        self._intake = intake
        self._stats = stats
        self._done = 0
        self._said: set[str] = set()

    async def run(self) -> None:
        """Until it is cancelled; at once where nothing is to be said."""
        clock = asyncio.get_running_loop().time
        since_s = clock()
        while self._config.quiet_s:
            await asyncio.sleep(min(_LOOK_S, self._config.quiet_s))
            done = self._stats.get_value("frontier/done", 0)
            if done != self._done:
                self._done, since_s = done, clock()
            elif clock() - since_s >= self._config.quiet_s:
                await self._say()

    async def _say(self) -> None:
        try:
            found = await waiting_for(await Crawl.open(self._client, self._config.crawl))
        except (RedisError, FrontierError, OSError):
            return  # whoever exchanges says that Redis is away
        for waiting in found:
            # A host that is left alone for longer and longer is one thing to wait for, not many.
            key = waiting.kind if waiting.kind != "hosts" else waiting.said.partition(", which")[0]
            if key not in self._said and not self._is_our_own(waiting):
                self._said.add(key)
                self._log(waiting)
        if not found:
            self._said.clear()

    def _is_our_own(self, waiting: Waiting) -> bool:
        """Nothing but pages of this worker are under way: what they do is to be seen."""
        return waiting.kind == "leased" and waiting.pages <= len(self._completion)

    def _log(self, waiting: Waiting) -> None:
        said = waiting.said + (f" ({self._why_busy()})" if waiting.kind == "busy" else "")
        pages = f"; {waiting.pages:,} pages wait" if waiting.pages else ""
        logger.warning(
            "Nothing was fetched for %g s. The crawl waits for %s%s", self._config.quiet_s, said, pages
        )

    def _why_busy(self) -> str:
        """What this worker itself may still bring."""
        if self._completion.engine.starting():
            return "here start() is still running"
        if not self._intake.empty:
            return f"here entries of {', '.join(self._config.start_urls)} wait, or are claimed by a worker"
        if self._config.wait_s is None:
            return (
                f"here it waits for start URLs in {', '.join(self._config.start_urls)} for as long as it runs"
            )
        return f"here it waits for {self._config.wait_s:g} s, see MAX_IDLE_TIME_BEFORE_CLOSE"
