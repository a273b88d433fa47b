"""Numbers that sites and spiders send, as far as they go."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scrapy import Request, Spider
from scrapy.settings import Settings
from scrapy.utils.request import RequestFingerprinter

from crawlers.frontier import MOST_PRIORITY
from crawlers.scheduler.config import BadSetting, at_least
from crawlers.scheduler.requests import RequestCodec
from crawlers.scheduler.turns import retry_after_s

DAY_S = 86_400


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 9999 00:00:00 +9999999999999",
        f"Mon, 01 Jan {'9' * 40} 00:00:00 GMT",
        f"Mon, {'9' * 40} Jan 2020 00:00:00 GMT",
        f"Mon, 01 Jan 2020 {'9' * 40}:00:00 GMT",
        f"Mon, 01 Jan 2020 00:00:00 -{'9' * 5000}",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "-1",
        "nan",
        "inf",
        "1e400",
        "9" * 5000,
        "120 s",
        "",
    ],
    ids=lambda value: value[:30],
)
def test_any_retry_after_is_none_or_a_day_at_most(value: str) -> None:
    # Given any header, when it is read, then it asks for nothing, or for what a host may ask for
    wait_s = retry_after_s(value.encode(), 1e9)
    assert wait_s is None or 0 <= wait_s <= DAY_S


@pytest.mark.parametrize(
    ("priority", "queued"),
    [
        (10**30, MOST_PRIORITY),
        (-(10**30), -MOST_PRIORITY),
        (math.inf, MOST_PRIORITY),
        (math.nan, 0),
        (1.7, 2),
    ],
)
def test_any_priority_is_a_whole_one_that_the_frontier_counts_with(priority: Any, queued: int) -> None:
    # Given a request whose priority was computed, as DEPTH_PRIORITY does from the depth of a message
    request = Request("http://a.example/")
    request.priority = priority
    # When it is queued
    codec = RequestCodec(Spider("any"), RequestFingerprinter(), lambda _: None, 10_000)
    found = codec.to_found(request, None)
    # Then its priority is whole, and within what counts
    assert (found.priority, type(found.priority)) == (queued, int)


@pytest.mark.parametrize("value", ["nan", "inf", "1e15", "-1", "ten", 10**400])
@pytest.mark.parametrize("name", ["DOWNLOAD_DELAY", "FRONTIER_CRAWL_DELAY_MAX_S", "AUTOTHROTTLE_MAX_DELAY"])
def test_a_setting_that_no_clock_counts_is_refused_by_its_name(name: str, value: Any) -> None:
    # Given a setting that is no number of seconds, when it is read, then the error names it
    settings = Settings({name: value})
    with pytest.raises(BadSetting, match=f"^{name} must be"):
        at_least(settings.getfloat, name, 0)
