"""Dead letters beyond what Redis is to hold: the oldest go to MongoDB, where operators find them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from crawlers.frontier import FrontierError
from crawlers.frontier.operations import Crawl
from crawlers.frontier.scripts import Script
from crawlers.mongo import BadMongoSetting
from crawlers.mongo.errors import Trouble

from .letterstore import LetterStore

logger = logging.getLogger(__name__)

_BOUND = Script("bound_dead")
_LOOK_S, _RETRY_S = 5.0, 5.0
_MOST = 100  # letters in one step


class DeadLetters:
    """Keeps the `most` newest dead letters of one crawl in Redis; 0: all.

    Any worker may do so, several at once too: a letter is in MongoDB before it leaves Redis, under a name
    that follows from its own.
    """

    def __init__(self, client: Any, crawl: str, store: LetterStore, most: int) -> None:
        self._client = client
        self._crawl = crawl
        self._store = store
        self._most = most
        self._trouble = Trouble(store.name, f"All dead letters stay in Redis, also beyond {most:,}")
        self._said = False

    async def run(self) -> None:
        """Until it is cancelled. Nothing that Redis or MongoDB do ends it."""
        while self._most:
            await asyncio.sleep(await self.step())

    async def step(self) -> float:
        """Moves some of what is too much. Returns after how many seconds to come back."""
        try:
            crawl = await Crawl.open(self._client, self._crawl)
            over = await self._client.xlen(f"{crawl.tag}:dead") - self._most
            if over <= 0:
                return _LOOK_S
            await self._move(crawl, min(over, _MOST))
        except (RedisError, FrontierError, OSError):
            return _RETRY_S  # whoever exchanges says that Redis is away
        except (PyMongoError, BadMongoSetting) as error:
            self._trouble.began(error)
            return _RETRY_S
        self._trouble.ended()
        return 0 if over > _MOST else _LOOK_S

    async def _move(self, crawl: Crawl, number: int) -> None:
        async for some in crawl.letters_here():
            moving, shelf = some[:number], await crawl.dead_shelf()
            await self._store.write(shelf, self._crawl, moving)
            if not self._said:
                await self._store.delete_earlier(shelf)
            retried = await crawl.run(_BOUND, {"ids": [letter.id for letter in moving]})
            if retried:
                await self._store.delete(shelf, [id_.decode() for id_ in retried])
            self._say(len(moving) - len(retried))
            return

    def _say(self, number: int) -> None:
        if number and not self._said:
            self._said = True
            logger.warning(
                "There are more than %d dead letters: the oldest go to MongoDB's %s from now on, see"
                " FRONTIER_DEAD_LETTERS. `scrapy frontier dead` and `retry-dead` find them there",
                *(self._most, self._store.name),
            )
