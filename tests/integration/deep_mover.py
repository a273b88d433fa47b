"""A process that moves the deep queues of a crawl, and kills itself at a given step.

`python -m tests.integration.deep_mover REDIS_URL MONGO_URI DATABASE CRAWL LIMIT CHUNK STEP`; ends with 0 if
there are fewer steps than that.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from typing import Any, cast

from scrapy.settings import Settings

from crawlers.deep import ChunkStore, Memory, Mover
from crawlers.frontier import Deep, connect
from crawlers.mongo import MongoConfig


class Fuse:
    """Kills this process when so many steps have begun: between two of them nothing happens."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def burn(self) -> None:
        """A step begins."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def along(self, inner: object) -> Any:
        """`inner`, each call of which is a step."""
        return _Burning(inner, self)


class _Burning:
    def __init__(self, inner: object, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def burning(*args: Any, **terms: Any) -> Any:
            self._fuse.burn()
            return await found(*args, **terms)

        return burning


def store_in(mongo_uri: str, database: str, timeout_s: float = 10) -> ChunkStore:
    """The chunks in `database`."""
    settings = {"MONGO_URI": mongo_uri, "MONGO_DATABASE": database, "MONGO_TIMEOUT_S": timeout_s}
    return ChunkStore(MongoConfig.of(Settings(settings)))


async def main(redis_url: str, mongo_uri: str, database: str, crawl: str, *numbers: str) -> None:
    """Moves until there is nothing to move, or the end."""
    limit, chunk, steps = map(int, numbers)
    client, store, fuse = connect({"REDIS_URL": redis_url}), store_in(mongo_uri, database), Fuse(steps)
    deep = cast(Deep, fuse.along(Deep(client, crawl, f"mover {os.getpid()}")))
    burning = cast(ChunkStore, fuse.along(store))
    mover = Mover(deep, burning, Memory(client, crawl), crawl, limit=limit, chunk=chunk)
    for _ in range(3):
        while await mover.step() == 0:
            pass
    await store.aclose()
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
