"""What can go wrong at the frontier.

FrontierError
├── BadConnection      the settings don't say how to reach Redis
├── BadCrawlName       a crawl's name that can't be part of a key
├── NotPlainData       a request that can't be queued, because it holds more than data
├── BadPayload         bytes in a queue that no worker of this version wrote
│   └── Unknown        ... and that a newer one may have written
└── BadStartUrls       a key of start URLs that is no list, set or sorted set
"""

from __future__ import annotations


class FrontierError(Exception):
    """The base of all errors raised by the frontier. Its text is one sentence for the user."""


class BadConnection(FrontierError):
    """The settings don't say how to reach Redis; the text names the setting."""


class BadCrawlName(FrontierError):
    """A crawl's name that can't be part of a key."""


class NotPlainData(FrontierError):
    """A link that can't be queued, because it holds more than data; the text says what."""


class BadPayload(FrontierError):
    """Bytes in a queue that no worker of this version wrote; the text says what is wrong."""


class Unknown(BadPayload):
    """A payload that a newer worker may have written, and may know to run; the text says what is unknown."""


class BadStartUrls(FrontierError):
    """A key of start URLs that is no list, set or sorted set."""
