"""What an answer may cost, and what a damaged or odd one counts as: the same in both profiles."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
import redis

from benchmarks import answers
from deploy.local.raw_site import RawSite, raw_site
from tests.helpers import run_spider

PROFILES = ("default", "fast")
DAMAGED, GOOD, EMPTY = answers.damaged(), answers.good(), answers.empty()
BOMBS, DRIPS = answers.bombs(), answers.drips()
TOO_LONG = "/too-long?head"
Outcomes = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def site() -> Iterator[RawSite]:
    """All of them, on one loopback address."""
    with raw_site(DAMAGED | GOOD | EMPTY | DRIPS | {path: bomb for path, (bomb, _) in BOMBS.items()}) as site:
        yield site


@pytest.fixture(scope="module")
def outcomes(site: RawSite, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """How each request ended, by its path, in each profile; a path is asked for once in each."""
    told = [
        *({"url": f"{site.url}{path[1:]}"} for path in DAMAGED | GOOD | EMPTY | BOMBS),
        *({"url": f"{site.url}{path[1:]}", "meta": {"download_timeout": 1}} for path in DRIPS),
        {"url": TOO_LONG.replace("/", site.url, 1), "method": "HEAD"},
        {"url": f"{site.url}short?kept", "meta": {"download_fail_on_dataloss": False}},
        {"url": f"{site.url}chunks?x#there"},
    ]
    folder = tmp_path_factory.mktemp("bodies")
    return {profile: _fetched(folder, redis_url, site, told, profile) for profile in PROFILES}


def _fetched(
    folder: Path, redis_url: str, site: RawSite, told: list[dict[str, Any]], profile: str
) -> dict[str, dict[str, Any]]:
    file, feed = folder / "told.json", folder / f"{profile}.jsonl"
    file.write_text(json.dumps(told))
    ended = run_spider(
        "fetched",
        folder,
        arguments={"crawl": f"bodies-{secrets.token_hex(4)}", "told": file},
        settings={
            "SPIDER_MODULES": "tests.integration.spiders",
            "FEEDS": json.dumps({str(feed): {"format": "jsonlines"}}),
            "FAST_PROFILE": profile == "fast",
            "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
        },
        env={"REDIS_URL": redis_url},
        timeout_s=120,
    )
    assert ended.status == 0, ended.log
    lines = [json.loads(line) for line in feed.read_text().splitlines()]
    return {line["asked"].removeprefix("GET ").replace(site.url, "/"): line for line in lines}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", [*GOOD, "/chunks?x#there"])
def test_a_whole_body_is_taken_however_it_was_sent(path: str, profile: str, outcomes: Outcomes) -> None:
    # Given an answer whose body is complete
    # When it was fetched
    outcome = outcomes[profile][path]
    # Then that is what the callback got
    assert outcome.get("status") == 200, outcome
    assert outcome["body"] == sha1(answers.TEXT).hexdigest()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", EMPTY)
def test_an_answer_without_a_body_has_none(path: str, profile: str, outcomes: Outcomes) -> None:
    # Given a status that has no body, or a length of 0, and bytes behind it
    # When it was fetched
    outcome = outcomes[profile][path]
    # Then these are not its body
    assert outcome.get("body") == sha1(b"").hexdigest(), outcome


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", DAMAGED)
def test_a_damaged_body_is_a_loss_of_data(path: str, profile: str, outcomes: Outcomes) -> None:
    # Given a body that was cut, or that isn't in the coding it is said to be
    # When it was fetched
    outcome = outcomes[profile][path]
    # Then it has failed as what Scrapy retries, and no callback took it for a page
    assert outcome.get("error") == "ResponseDataLossError", outcome


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", BOMBS)
def test_what_is_beyond_a_limit_fails_with_its_name(path: str, profile: str, outcomes: Outcomes) -> None:
    # Given an answer without measure
    # When it was fetched
    outcome = outcomes[profile][path]
    # Then it has failed, and says which limit it went beyond
    assert re.search(BOMBS[path][1], outcome.get("why", "")), outcome
    assert outcome["error"] == (
        "ResponseDataLossError" if "Chunk size" in outcome["why"] else "AnswerTooLarge"
    )


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", DRIPS)
def test_an_answer_has_a_time_in_all(path: str, profile: str, outcomes: Outcomes) -> None:
    # Given a site that sends some of an answer again and again, and never all
    # When it was fetched
    outcome = outcomes[profile][path]
    # Then it has failed after the time that a request may take
    assert outcome.get("error") == "DownloadTimeoutError", outcome


@pytest.mark.parametrize("profile", PROFILES)
def test_a_url_is_what_was_sent(profile: str, outcomes: Outcomes) -> None:
    # Given a link with a fragment
    # When it was fetched
    outcome = outcomes[profile]["/chunks?x#there"]
    # Then its response is that of the page, so that it isn't stored twice
    assert outcome["came_from"].endswith("/chunks?x")


@pytest.mark.parametrize("profile", PROFILES)
def test_what_follows_an_answer_belongs_to_none(profile: str, outcomes: Outcomes) -> None:
    # Given an answer to HEAD that has a body
    # When it was fetched
    outcome = outcomes[profile][f"HEAD {TOO_LONG}"]
    # Then it was taken without
    assert (outcome["status"], outcome["body"]) == (200, sha1(b"").hexdigest())


@pytest.mark.parametrize("profile", PROFILES)
def test_half_a_body_is_taken_by_who_asks_for_it(profile: str, outcomes: Outcomes) -> None:
    # Given a body that is shorter than announced, and a request that takes it nevertheless
    # When it was fetched
    outcome = outcomes[profile]["/short?kept"]
    # Then it is marked
    assert (outcome["body"], outcome["flags"]) == (sha1(answers.TEXT).hexdigest(), ["dataloss"])


def test_the_profiles_end_alike(outcomes: Outcomes) -> None:
    # Given both profiles
    # When their outcomes are compared
    default, fast = ({path: _ending(line) for path, line in outcomes[p].items()} for p in PROFILES)
    # Then there is no difference
    assert default == fast


def _ending(line: dict[str, Any]) -> tuple[Any, ...]:
    """Twisted alone marks a body that ends with its connection, and has limits of its own for chunks."""
    if line["url"].endswith("/bomb/chunk-line"):
        return ()
    flags = [flag for flag in line.get("flags", ()) if flag != "partial"]
    return flags, *(line.get(name) for name in ("status", "body", "error", "came_from"))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_damaged_body_is_fetched_again_and_then_a_dead_letter(
    profile: str,
    site: RawSite,
    redis_url: str,
    redis_client: redis.Redis,
    crawl_name: str,
    tmp_path: Path,
) -> None:
    # Given damaged bodies and bombs
    paths = {"/cut/gzip": 3, "/cut/br": 3, "/cut/zstd": 3, "/short": 3, "/bomb/gzip": 1, "/bomb/headers": 1}
    site.asked.clear()
    # When they are crawled with Scrapy's retries
    ended = run_spider(
        "pages",
        tmp_path,
        arguments={"crawl": crawl_name, "url": ",".join(f"{site.url}{path[1:]}" for path in paths)},
        settings={"FAST_PROFILE": profile == "fast", "ITEM_PIPELINES": "{}"},
        env={"REDIS_URL": redis_url},
    )
    assert ended.status == 0, ended.log
    # Then each was asked for as often as it may help, and is a dead letter that says why
    assert {path: site.asked[path] for path in paths} == paths
    letters = [fields for _, fields in redis_client.xrange(f"{{{crawl_name}}}:dead")]
    reasons = {
        path: fields[b"reason"].decode()
        for path in paths
        for fields in letters
        if path.encode() in fields[b"payload"]
    }
    assert len(letters) == len(reasons) == len(paths)
    assert "gzip: it ends too early" in reasons["/cut/gzip"]
    assert "DOWNLOAD_MAX_RATIO (400)" in reasons["/bomb/gzip"]
    assert "DOWNLOAD_MAX_HEADER" in reasons["/bomb/headers"]
