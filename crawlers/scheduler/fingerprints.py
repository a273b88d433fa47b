"""What stands for a request in the seen set: 64 bits that follow from Scrapy's own fingerprint."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from hashlib import blake2b, sha1

from w3lib.url import canonicalize_url, safe_url_string

# Most links of a page stand on the page before it too: navigation, tags, the way back. Some 300 bytes each.
_MOST_REMEMBERED = 20_000

# What Scrapy neither encodes nor rewrites. It says nothing of any other URL.
_CANONICAL = re.compile(
    r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::(?:[1-5][0-9]{4}|[1-9][0-9]{0,3}))?"
    r"(?:/|(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+/?)(?:\?[A-Za-z0-9_.-]+=[A-Za-z0-9_.-]*)?"
)


def fingerprint_of(digest: bytes, *, start_of_run: int | None = None, time: int = 1) -> int:
    """The 64 bits, as a signed number, under which the frontier has seen a request with the fingerprint
    `digest` of Scrapy's. What the start of a run yields has one for each run, and for each time that it does.
    """
    if start_of_run is not None:
        digest = b"start %d %d " % (start_of_run, time) + digest
    return int.from_bytes(blake2b(digest, digest_size=8).digest(), "big", signed=True)


@lru_cache(maxsize=_MOST_REMEMBERED)
def fingerprint_of_url(url: str) -> int:
    """That of ``Request(url)``, by Scrapy's own fingerprinter, without the request.

    Raises ValueError for some of the URLs of which no request can be made.
    """
    canonical = url if _CANONICAL.fullmatch(url) else canonicalize_url(safe_url_string(url))
    # As `scrapy.utils.request.fingerprint` writes it.
    written = json.dumps({"body": "", "headers": {}, "method": "GET", "url": canonical})
    return fingerprint_of(sha1(written.encode(), usedforsecurity=False).digest())
