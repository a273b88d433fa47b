"""A worker that is started otherwise than the others of its crawl says so, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from deploy.local.practice_site import PracticeSite
from tests.helpers import start_spider, wait_until


@pytest.mark.parametrize("policy", ["warn", "refuse"])
def test_other_arguments_are_named(
    policy: str,
    practice_site: PracticeSite,
    redis_url: str,
    redis_client: redis.Redis,
    crawl_name: str,
    tmp_path: Path,
) -> None:
    # Given a worker that waits for more
    def started(depth: int, **settings: object) -> dict[str, object]:
        return {
            "arguments": {"url": f"{practice_site.url}traps/leaf/a", "crawl": crawl_name, "depth": depth},
            "settings": {"ITEM_PIPELINES": "{}", "FRONTIER_OTHER_JOBS": policy, **settings},
            "env": {"REDIS_URL": redis_url},
        }

    with start_spider("pages", tmp_path, **started(1, MAX_IDLE_TIME_BEFORE_CLOSE=0)) as first:  # type: ignore[arg-type]
        wait_until(lambda: "Reading start URLs" in first.log_text)
        # When another joins with other arguments and settings
        with start_spider("pages", tmp_path, **started(2, ROBOTSTXT_OBEY=False)) as other:  # type: ignore[arg-type]
            # Then it names them
            wait_until(lambda: "argument depth is 2, not 1" in other.log_text)
            assert "ROBOTSTXT_OBEY is False, not True" in other.log_text
            assert "started otherwise" not in first.log_text
            # And it does not run where that was asked for, and leaves the crawl
            if policy == "refuse":
                ended = other.end()
                assert (ended.status, "Traceback" in ended.log) == (1, False)
                assert redis_client.zcard(f"{{{crawl_name}}}:workers") == 1
            else:
                wait_until(lambda: "Reading start URLs" in other.log_text)
