"""Where documents go and when they count as stored, in one place and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymongo import AsyncMongoClient, WriteConcern
from pymongo.errors import InvalidName, PyMongoError

if TYPE_CHECKING:
    from pymongo.asynchronous.database import AsyncDatabase
    from scrapy.settings import BaseSettings


class BadMongoSetting(ValueError):
    """A setting that can't be used; the text names it and says why, and holds no password."""


@dataclass(frozen=True, slots=True)
class MongoConfig:
    """Where documents go and when they count as stored; `timeout_s` is that of one attempt.

    `patience_s`: how long to wait for MongoDB at start; 0: one attempt.
    """

    uri: str = field(repr=False)
    database: str
    write_concern: WriteConcern
    timeout_s: float
    patience_s: float = 15

    @classmethod
    def of(cls, settings: BaseSettings) -> MongoConfig:
        """The configuration in Scrapy's settings. Raises :class:`BadMongoSetting`."""
        timeout_s = _number(settings.get("MONGO_TIMEOUT_S", 10), "MONGO_TIMEOUT_S")
        if timeout_s <= 0:
            raise BadMongoSetting("MONGO_TIMEOUT_S must be more than 0 seconds")
        patience_s = _number(settings.get("MONGO_PATIENCE_S", 15), "MONGO_PATIENCE_S")
        if not patience_s >= 0:
            raise BadMongoSetting("MONGO_PATIENCE_S must be at least 0 seconds")
        return cls(
            uri=str(settings.get("MONGO_URI", "mongodb://127.0.0.1:27017")),
            database=str(settings.get("MONGO_DATABASE", "crawlers")),
            write_concern=_write_concern(settings),
            timeout_s=timeout_s,
            patience_s=patience_s,
        )

    def connect(self) -> AsyncDatabase[dict[str, Any]]:
        """The database. It connects when it is first used. Raises :class:`BadMongoSetting`."""
        try:
            client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                self.uri,
                timeoutMS=round(self.timeout_s * 1000),
                appname="crawlers",
                uuidRepresentation="standard",
            )
        except (PyMongoError, ValueError, TypeError, OSError) as error:
            raise BadMongoSetting(_bad_uri(self.uri, error)) from None
        try:
            return client.get_database(self.database, write_concern=self.write_concern)
        except InvalidName as error:
            raise BadMongoSetting(f"MONGO_DATABASE can't be used: {error}") from None


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadMongoSetting(f"{name} must be a number, not {value!r}") from None


def _write_concern(settings: BaseSettings) -> WriteConcern:
    w = str(settings.get("MONGO_WRITE_CONCERN", "majority"))
    if w == "0":
        raise BadMongoSetting("MONGO_WRITE_CONCERN must be at least 1: 0 never learns of a failure")
    journal = settings.getbool("MONGO_JOURNAL", True)
    return WriteConcern(w=int(w) if w.isdecimal() else w, j=journal)


def _bad_uri(uri: str, error: Exception) -> str:
    """Only what follows the last @ of the address is shown, and nothing of it that `error` quotes.

    A password may stand anywhere else, above all in an address that is wrong.
    """
    scheme, _, rest = uri.partition("://")
    hosts = rest.rpartition("@")[2].partition("?")[0] if "@" in rest else ""
    reason = str(error)
    for quoted in re.findall(r"[\"']([^\"']+)[\"']", reason):
        if quoted in rest and not isinstance(error, OSError):
            reason = reason.replace(quoted, "…")
    shown = f" {scheme}://***@{hosts}" if hosts else ""
    return f"MONGO_URI{shown} can't be used, it must be like mongodb://host:27017: {reason}"
