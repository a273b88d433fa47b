"""Scrapyd's pages and API for its own visitors: no page of another site can deploy code through a browser.

Scrapyd answers whoever reaches its port, and lets any origin read. A browser on the same machine does reach
it, and sends what a page of any site tells it to. What it says of that page can't be forged by the page:

| header | is let in |
| --- | --- |
| `Host` | localhost, an IP address, or a name in `allowed_hosts`: no name that a site points here |
| `Origin` | none, as of curl and scrapyd-client, or that of Scrapyd itself |
| `Sec-Fetch-Site` | none, `none` (typed in) or `same-origin` |
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from scrapyd.website import Root as ScrapydsRoot
from twisted.web.resource import Resource

_SITES = ("", "none", "same-origin")


def refusal(host: str, origin: str, site: str, allowed: frozenset[str]) -> str | None:
    """Why a request with these headers is refused, None where it isn't. Empty: there is no such header."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return "Host is no host"
    if host and name != "localhost" and name not in allowed and not _is_address(name):
        return "Host is not one of this Scrapyd: put it into allowed_hosts of scrapyd.conf"
    if origin and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return "Origin is another site"
    if site.lower() not in _SITES:
        return "Sec-Fetch-Site is another site"
    return None


def _is_address(name: str) -> bool:
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


class Refused(Resource):
    """Answers 403 with a sentence."""

    isLeaf = True

    def __init__(self, why: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._why = why

    def render(self, request: Any) -> bytes:
        """Twisted's call."""
        request.setResponseCode(403)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return f"Refused: {self._why}.\n".encode()


class Root(ScrapydsRoot):  # type: ignore[misc]
    """Scrapyd's own root, asked only after the check: `webroot` of scrapyd.conf."""

    def __init__(self, config: Any, app: Any) -> None:
        super().__init__(config, app)
        self._allowed = frozenset(config.get("allowed_hosts", "").lower().split())

    def getChildWithDefault(self, path: bytes, request: Any) -> Any:
        """Twisted's call for each request."""
        host, origin, site = (request.getHeader(name) or "" for name in ("host", "origin", "sec-fetch-site"))
        if why := refusal(host, origin, site, self._allowed):
            return Refused(why)
        return super().getChildWithDefault(path, request)
