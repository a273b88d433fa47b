"""How full Redis is, by its own account."""

from __future__ import annotations

import logging
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from crawlers.frontier import Client
from crawlers.frontier.keys import meta

logger = logging.getLogger(__name__)

SPILL_AT = 0.8
"""Above this share of maxmemory all that can goes to MongoDB."""

HOLD_AT, GO_ON_AT = 0.9, 0.85
"""Above the one a worker takes nothing that leads to more links, until it is below the other. The rest is for
what is under way."""


class Memory:
    """The memory of the Redis that has the crawl `crawl`."""

    def __init__(self, client: Client, crawl: str) -> None:
        self._client = client
        self._key = meta(crawl)
        self._denied = False

    async def used(self) -> float:
        """The share of maxmemory that is used; 0 where there is no limit, or Redis doesn't tell.

        Buffers for replicas and the AOF don't count, as for Redis itself.
        """
        if self._denied:
            return 0.0
        try:
            info = await self._info()
        except ResponseError as error:  # an ACL, or a service that has no INFO
            self._denied = True
            text = "Redis doesn't tell how full it is (%s): workers go on until it refuses writes"
            logger.warning(text, error)
            return 0.0
        most = int(info.get("maxmemory", 0))
        counted = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
        return counted / most if most else 0.0

    async def _info(self) -> dict[str, Any]:
        if isinstance(self._client, RedisCluster):
            node = self._client.get_node_from_key(self._key)
            return dict(await self._client.info("memory", target_nodes=node))
        return dict(await self._client.info("memory"))
