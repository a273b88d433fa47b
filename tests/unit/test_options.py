"""Each setting says what it may be, and what it isn't is one sentence that names it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from scrapy.settings import Settings

import crawlers.settings as project
from crawlers.options import OURS, check, unknown
from crawlers.options.table import KINDS, THEIRS
from crawlers.scheduler.ignored import IGNORED
from tests.helpers import ROOT

NUMBERS = [name for name, kind in KINDS.items() if hasattr(kind, "least")]
FLAGS = [name for name, kind in KINDS.items() if type(kind).__name__ == "Flag"]


def complaints(**settings: Any) -> list[str]:
    """What is said of `settings`."""
    return check(Settings(settings))


def test_what_the_project_ships_is_right() -> None:
    # Given the settings as they ship, When they are looked at, Then there is nothing to say
    settings = Settings()
    settings.setmodule(project)
    assert check(settings) == []
    assert unknown(settings, IGNORED) == []


def test_each_setting_of_ours_is_in_the_table_with_the_default_that_ships() -> None:
    # Given all names of settings in the code
    texts = [path.read_text() for path in Path(ROOT, "crawlers").rglob("*.py") if "options" not in path.parts]
    named = {name for text in texts for name in re.findall(r"\b(?:FRONTIER|MONGO|REDIS)_[A-Z_]+\b", text)}
    # When they are looked up, Then the table has each
    assert named - {*OURS, *THEIRS, *IGNORED} == set(), "add a row to crawlers/options/table.py"
    # And each default is the one of the project, where that isn't the environment's
    shipped = {name: value for name, value in vars(project).items() if name.startswith("FRONTIER_")}
    assert shipped == {name: OURS[name].default for name in shipped}


@pytest.mark.parametrize(
    "value", ["soon", "nan", "inf", "-inf", "1e400", "", None, True, [], {}, "9" * 5000, -1e30]
)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_in_range_is_refused_by_name(name: str, value: Any) -> None:
    # Given a number that can't be, When it is looked at, Then one line names the setting and what it may be
    (said,) = complaints(**{name: value})
    assert said.startswith(f"{name} must be a ")
    assert " number " in said
    assert len(said) < 250
    assert said.isprintable()


@pytest.mark.parametrize("value", ["maybe", "", None, 2, "yes", []])
@pytest.mark.parametrize("name", FLAGS)
def test_what_is_neither_true_nor_false_is_refused_by_name(name: str, value: Any) -> None:
    # Given such a value, When it is looked at, Then one line says so
    assert complaints(**{name: value}) == [f"{name} must be True or False, not {value!r}"]


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("FRONTIER_LEASE_TTL_S", [20, "0.1", 86400], ["1e15", 0, -1]),
        ("FRONTIER_ROBOTS_TTL_S", [1, "86400"], [-1, 0, "1e300"]),
        ("CONCURRENT_ITEMS", [1, "100"], [0, "0", 1.5, "1.5"]),
        ("MONGO_WRITE_CONCERN", [1, "2", "majority", "my-tag"], [0, "0", -1, 1.5, "", 99, None]),
        ("FRONTIER_SEEN", ["exact"], ["Exact", "", None, 1]),
        ("FRONTIER_DROP_EARLY", ["auto", True, "False", "1"], ["sometimes", None]),
        ("FRONTIER_BACK_OFF_STATUS", [[429], "429,503", ""], ["busy", [4290], "429;503", 429]),
        (
            "FRONTIER_REQUEST_CLASSES",
            [[], "scrapy.FormRequest"],
            ["no.such.Class", "os.path", "scrapy.Spider", 7],
        ),
        (
            "REDIS_START_URLS_KEY",
            [None, "%(name)s:urls", "urls", "100%%"],
            ["%(nme)s", "%d", "100%", "a\nb", 7],
        ),
        ("FRONTIER_INSIDE_NETWORKS", [[], "10.0.0.0/8,fd00::/8"], ["10.0.0.0/99", "all", None, 7]),
        ("REDIS_PORT", [0, 6379, "6380"], [99999, -1, "redis"]),
        ("DOWNLOAD_SLOTS", [{}, '{"a": {"delay": 1}}'], [{"a": 1}, {"a": {"delay": "nan"}}]),
        ("LOG_LEVEL", ["INFO", 10], ["LOUD", None, 1.5]),
        ("LOG_FILE", [None, "/tmp/x.log"], ["/no/such/folder/x.log", "/tmp"]),
        ("USER_AGENT", ["me", None], ["me\r\nCookie: x", b"me"]),
        ("RETRY_EXCEPTIONS", [[OSError], "builtins.OSError"], ["no.such.Error"]),
        ("REQUEST_FINGERPRINTER_CLASS", [], ["no.such.Class"]),
        ("DOWNLOAD_DELAY_JITTER", [0, "0.5", 1], [-0.1, 1.1]),
    ],
)
def test_a_setting_is_what_it_may_be_and_nothing_else(name: str, right: list[Any], wrong: list[Any]) -> None:
    # Given values that can be, Then nothing is said; given others, Then one sentence names the setting
    assert [value for value in right if complaints(**{name: value})] == []
    for value in wrong:
        (said,) = complaints(**{name: value})
        assert said.startswith(f"{name} ")


@pytest.mark.parametrize("name", ["REDIS_URL", "MONGO_URI", "REDIS_PARAMS"])
def test_a_complaint_shows_no_password(name: str) -> None:
    # Given something that can't be, with a password in it, When it is named, Then the password isn't
    assert "s3cret" not in complaints(**{name: "redis://:s3cret@\n"})[0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("FRONTIER_LEASE_TTL", "did you mean FRONTIER_LEASE_TTL_S?"),
        ("FRONTIER_MAX_ATTEMPT", "did you mean FRONTIER_MAX_ATTEMPTS?"),
        ("MONGODB_URI", "did you mean MONGO_URI?"),
        ("MONGO_URL", "did you mean MONGO_URI?"),
        ("REDIS_ULR", "did you mean REDIS_URL?"),
        ("FRONTIER_XQZVW_KJW", "no setting of this project"),
        ("CONCURENT_REQUESTS", "did you mean CONCURRENT_REQUESTS?"),
        ("SHOP_COLOUR", None),
        ("DEPTH_LIMIT", None),
    ],
)
def test_a_name_that_is_none_is_said_with_the_one_that_is_like_it(name: str, sentence: str | None) -> None:
    # Given a setting with such a name, When names are looked at, Then the sentence has both, or there is none
    said = unknown(Settings({name: 1}))
    assert [sentence in each and name in each for each in said] == [True] * bool(sentence)
