"""Where the proxies of a crawl are written down: a file, or a list or set in Redis."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from redis.exceptions import RedisError

from .config import BadSetting
from .proxies import Address, NotAProxy, address_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawlers.frontier.connection import Client

    from .proxies import Exits

logger = logging.getLogger(__name__)

_REDIS = "redis:"
_READ_AGAIN_S = 5.0


class ProxyList:
    """What FRONTIER_PROXIES names: the path of a file with a proxy a line, or ``redis:NAME`` of a Redis list,
    set or sorted set of the same lines. Empty lines and those that begin with # don't count.
    """

    def __init__(self, source: str, encoding: str) -> None:
        self.source = source
        self._encoding = encoding
        self._read_again_at_s = 0.0
        self._told: set[str] = set()

    async def read(self, exits: Exits, client: Client | None) -> None:
        """Replaces `exits` by what is written down now. Raises :class:`BadSetting`, or redis-py's errors."""
        self._read_again_at_s = exits.clock() + _READ_AGAIN_S
        lines = await self._from_redis(client) if self.source.startswith(_REDIS) else self._from_file()
        came, gone = exits.replace(self._addresses(lines))
        if came or gone:
            logger.info("Proxies: %d, of which %d are new; %d are gone", len(exits), came, gone)
        if not exits:
            self._tell(f"FRONTIER_PROXIES: {self.source} is empty; requests wait until it names a proxy")

    async def read_again(self, exits: Exits, client: Client | None) -> None:
        """The same once in a while. While the source can't be read the exits stay as they are."""
        if exits.clock() < self._read_again_at_s:
            return
        try:
            await self.read(exits, client)
        except (BadSetting, RedisError, OSError) as error:
            self._tell(f"{error}; the proxies stay as they are")

    def _from_file(self) -> list[str]:
        try:
            return Path(self.source).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise BadSetting(f"FRONTIER_PROXIES: {self.source} can't be read ({why})") from None

    async def _from_redis(self, client: Client | None) -> list[str]:
        key, redis = self.source.removeprefix(_REDIS), cast("Any", client)
        if redis is None:
            raise BadSetting(f"FRONTIER_PROXIES: {self.source} needs this project's scheduler; name a file")
        kind = (await redis.type(key)).decode()
        if kind == "none":
            return []
        readers = {"list": redis.lrange, "set": redis.smembers, "zset": redis.zrange}
        if kind not in readers:
            raise BadSetting(f"FRONTIER_PROXIES: {self.source} holds a {kind}, not a list or set")
        entries = await readers[kind](key, *(() if kind == "set" else (0, -1)))
        return sorted(entry.decode(errors="replace") for entry in entries)

    def _addresses(self, lines: Iterable[str]) -> list[Address]:
        found = []
        for number, line in enumerate(map(str.strip, lines), start=1):
            if not line or line.startswith("#"):
                continue
            try:
                found.append(address_of(line, self._encoding))
            except NotAProxy as error:
                self._tell(f"FRONTIER_PROXIES: line {number} of {self.source} is left out: {error}")
        return found

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            logger.warning("%s", sentence)
