"""What the meta of a pushed message may hold: data of the pusher's own, and nothing that steers the crawler.

Who may push start URLs decides what is crawled, not how: by which proxy, at what cost, past which rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

STEERING = {
    "proxy": "sends a request, and its cookies, through any machine",
    "bindaddress": "chooses the address from which a worker asks",
    "dont_obey_robotstxt": "ignores robots.txt",
    "allow_offsite": "leaves the spider's allowed_domains",
    "download_maxsize": "fills a worker's memory",
    "download_warnsize": "silences the warning of large bodies",
    "download_timeout": "holds a connection for as long as it likes",
    "download_fail_on_dataloss": "has broken pages stored",
    "handle_httpstatus_all": "has error pages stored",
    "handle_httpstatus_list": "has error pages stored",
    "max_retry_times": "asks a failing site again and again",
    "referrer_policy": "has a class loaded by its path",
    "verbatim_url": "sends a URL as it stands, whatever it holds",
    "ftp_user": "is a password of somebody's",
    "ftp_password": "is a password of somebody's",
    "depth": "evades DEPTH_LIMIT",
    "playwright": "steers a browser",
    "playwright_page_methods": "steers a browser",
    "splash": "asks a rendering service for anything",
}
"""Keys of Scrapy's and its friends by which a request is handled otherwise, and what each could be used for.
FRONTIER_PUSHED_META allows them one by one."""

# What only the crawler itself knows of a request.
_OWN = {"host_waits", "frontier_again", "is_start_request", "retry_times", "_auth_proxy"}
_OWN |= {"redirect_times", "redirect_ttl", "redirect_urls", "redirect_reasons"}
_OWN |= {"download_slot", "download_latency"}


def is_own(name: str) -> bool:
    """Nobody but the crawler may write this key of a request's meta."""
    return name in _OWN or name.startswith("_frontier")


def objection(meta: dict[str, Any], allowed: Iterable[str]) -> str | None:
    """Why a message with `meta` is refused; None if it isn't. `allowed`: keys of :data:`STEERING`."""
    for name in meta:
        if is_own(name):
            return f"its meta has {name[:100]!r}, which only the crawler itself may write"
        if name in STEERING and name not in allowed:
            return f"its meta has {name!r}, which {STEERING[name]}: FRONTIER_PUSHED_META may allow it"
    return None
