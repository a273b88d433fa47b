"""The wait for MongoDB before a worker joins a crawl whose items it could not store."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.errors import PyMongoError

from .errors import advice_on, first_words

if TYPE_CHECKING:
    from pymongo.asynchronous.database import AsyncDatabase

logger = logging.getLogger(__name__)

_PAUSE_S = 0.5
_SHORTEST_S = 0.1  # of an attempt


class MongoUnreachable(Exception):
    """MongoDB did not answer for as long as was to be waited; the text says why and holds no password."""


async def until_mongo_answers(
    database: AsyncDatabase[dict[str, Any]], patience_s: float, timeout_s: float
) -> None:
    """Returns once `database` answers; one round trip where it does at once.

    Each attempt takes up to `timeout_s`, none longer than what is left of `patience_s`; 0: one attempt.
    Says once that it waits. Raises :class:`MongoUnreachable`.
    """
    loop = asyncio.get_running_loop()
    ends_at, said = loop.time() + patience_s, False
    while True:
        left_s = ends_at - loop.time() if patience_s else timeout_s
        try:
            with pymongo.timeout(max(_SHORTEST_S, min(timeout_s, left_s))):
                await database.command("ping")
            return
        except (PyMongoError, OSError) as error:
            why = f"MongoDB can't be reached ({first_words(error)}). {advice_on(error)}"
        if loop.time() + _PAUSE_S >= ends_at:
            raise MongoUnreachable(f"{why}. Gave up after {patience_s:g} s: see MONGO_PATIENCE_S")
        if not said:
            logger.error("%s. Nothing is lost; trying again", why)
            said = True
        await asyncio.sleep(_PAUSE_S)
