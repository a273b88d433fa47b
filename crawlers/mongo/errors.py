"""Which of MongoDB's errors pass, which are a document's own, and what to tell the operator.

The codes are those of https://www.mongodb.com/docs/manual/reference/error-codes/
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from pymongo.errors import BulkWriteError

logger = logging.getLogger(__name__)

_DUPLICATE_KEY = 11000
# An error of one document that says nothing about the document: it was interrupted, the primary
# changed, the disk is full.
_PASSING = frozenset(
    {6, 7, 24, 46, 50, 89, 91, 112, 133, 134, 189, 202, 262, 9001, 10058, 10107}
    | {11600, 11601, 11602, 13435, 13436, 14031}
)
# Overflow (nested too deep), InvalidBSON, InvalidNamespace (a name too long), BSONObjectTooLarge.
_POISON = frozenset({15, 22, 73, 10334})
# Unauthorized, UserNotFound, AuthenticationFailed, AtlasError.
_ACCESS = frozenset({11, 13, 18, 8000})
# UnknownReplWriteConcern, UnsatisfiableWriteConcern.
_WRITE_CONCERN = frozenset({79, 100})


class Refused(Exception):
    """A document that MongoDB will never take; the text says why."""


def is_poisoned(error: Exception) -> bool:
    """Whether one document is to blame for the `error` of a whole bulk write."""
    return getattr(error, "code", None) in _POISON


def is_passing(failure: Mapping[str, Any]) -> bool:
    """Whether the `failure` of one document in a bulk write says nothing about the document."""
    return failure["code"] in _PASSING or _is_race(failure)


def only_races(error: Exception) -> bool:
    """Whether a bulk write failed for nothing but upserts of other workers at the same moment."""
    if not isinstance(error, BulkWriteError) or error.details["writeConcernErrors"]:
        return False
    return not any(failure["code"] in _PASSING for failure in error.details["writeErrors"])


def _is_race(failure: Mapping[str, Any]) -> bool:
    """Two upserts of a new `_id` at once: the second finds it on its next attempt."""
    return failure["code"] == _DUPLICATE_KEY and dict(failure.get("keyPattern", {})) == {"_id": 1}


class Trouble:
    """Says once that writing fails and why, and once that it works again."""

    def __init__(self, collection: str, meanwhile: str = "Documents wait until they are stored") -> None:
        self._collection = collection
        self._meanwhile = meanwhile
        self._advice: str | None = None
        self._since_s = 0.0

    def began(self, error: Exception) -> None:
        """A write failed; said again only where there is other advice to give."""
        advice = advice_on(error)
        if self._advice is None:
            self._since_s = time.monotonic()
        if self._advice != advice:
            self._advice = advice
            logger.warning(
                "MongoDB takes no writes to %s (%s). %s. %s.",
                self._collection,
                first_words(error),
                advice,
                self._meanwhile,
            )

    def ended(self) -> None:
        """A write worked."""
        if self._advice is not None:
            lasted_s = time.monotonic() - self._since_s
            logger.warning("MongoDB takes writes to %s again, %.1f s on", self._collection, lasted_s)
            self._advice = None


def advice_on(error: Exception) -> str:
    """What the operator may do about `error`."""
    details = getattr(error, "details", None) or {}
    failures = details.get("writeConcernErrors") or details.get("writeErrors") or ()
    codes = {getattr(error, "code", None), *(failure["code"] for failure in failures)}
    # After a refused login pymongo reports that it finds no server, for that reason.
    if codes & _ACCESS or "Authentication failed" in str(error):
        return (
            "Check the user, the password and authSource in MONGO_URI, and that this user may "
            "write to MONGO_DATABASE"
        )
    if codes & _WRITE_CONCERN:
        return "Check that the replica set can fulfil MONGO_WRITE_CONCERN"
    if any(word in str(error) for word in ("SSL", "TLS", "certificate")):
        return "Check tls, tlsCAFile and the host's name in MONGO_URI"
    return "Check that it runs, has a primary and disk space, and that MONGO_URI leads to it"


def first_words(error: Exception) -> str:
    """What `error` says, without the lists of settings, servers and documents that it may add."""
    text = str(error)
    if isinstance(error, BulkWriteError):
        failures = error.details["writeConcernErrors"] or error.details["writeErrors"]
        text = failures[0]["errmsg"]
    for appendix in (" (configured timeouts", ", full error", " to execute command"):
        text = text.partition(appendix)[0]
    return f"{type(error).__name__}: {text[:300]}"
