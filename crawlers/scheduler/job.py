"""What a worker was started with, against what the first worker of the run was: pages run under either."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy import Spider

_MOST_VALUES, _MOST_TEXT = 100, 200
_PLAIN = (str, int, float, bool, type(None), re.Pattern)
# What is a worker's own, or says nothing of its pages.
_OWN = {"crawler", "settings", "crawl", "_job", "name", "server", "logger"}
_SETTINGS = (
    *("ROBOTSTXT_OBEY", "ROBOTSTXT_USER_AGENT", "DEPTH_LIMIT", "URLLENGTH_LIMIT", "COOKIES_ENABLED"),
    *("FRONTIER_HOST_KEY", "FRONTIER_COOKIES", "FRONTIER_MAX_ATTEMPTS", "REQUEST_FINGERPRINTER_CLASS"),
    *("MONGO_DATABASE", "ITEM_PIPELINES", "HTTPERROR_ALLOW_ALL"),
)


def job_of(spider: Spider) -> dict[str, str]:
    """What decides about the pages of `spider`: its class, its plain attributes, which hold its arguments,
    and settings. Each as a short text by its name.
    """
    kind = type(spider)
    job = {"spider": f"{kind.__module__}.{kind.__qualname__}"}
    for name, value in vars(spider).items():
        if name not in _OWN and len(job) < _MOST_VALUES and _is_plain(value):
            job[f"argument {name.lstrip('_')}"] = _text(value)
    settings = spider.crawler.settings
    return job | {name: _text(settings.get(name)) for name in _SETTINGS}


def differences(job: dict[str, str], first: dict[str, str]) -> list[str]:
    """In words, what `job` has otherwise than the `first` of its run."""
    names = sorted(job.keys() | first.keys(), key=lambda name: (name != "spider", name))
    return [
        f"{name} is {job.get(name, 'not there')}, not {first.get(name, 'there')}"
        for name in names
        if job.get(name) != first.get(name)
    ]


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) <= _MOST_VALUES and all(isinstance(element, _PLAIN) for element in value)
    return isinstance(value, _PLAIN)


def _text(value: object) -> str:
    value = dict(value.items()) if hasattr(value, "items") else value
    return str(value)[:_MOST_TEXT]
