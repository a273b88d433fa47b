"""What scrapy-redis takes for the same request."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from w3lib.url import canonicalize_url

if TYPE_CHECKING:
    from scrapy import Request


class ScrapyRedisFingerprinter:
    """Tells requests apart exactly as scrapy-redis 0.9's `RFPDupeFilter` does."""

    is_scrapy_redis = True
    """What a worker asks for before it goes on with a crawl that was imported from scrapy-redis."""

    def fingerprint(self, request: Request) -> bytes:
        """The digest whose hexadecimal form stands in scrapy-redis' set of seen URLs."""
        identity = {
            "method": request.method,
            "url": canonicalize_url(request.url),
            "body": request.body.hex(),
        }
        written = json.dumps(identity, sort_keys=True).encode()
        return hashlib.sha1(written, usedforsecurity=False).digest()
