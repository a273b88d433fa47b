"""`make crawl` works on a machine that has nothing, shows what it does, and ends cleanly."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.practice_site import PracticeSite
from deploy.local.practice_site import practice_site as run_practice_site
from deploy.local.processes import Process
from tests.helpers import ROOT, wait_until

CRAWL = [sys.executable, "-m", "deploy.local.crawl"]


@pytest.fixture(autouse=True)
def _no_servers_of_your_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REDIS_URL", "MONGO_URI", "MONGO_DATABASE"):
        monkeypatch.delenv(variable, raising=False)


def _crawl(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*CRAWL, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_second_crawl_runs_anew_and_doubles_no_document(
    practice_site: PracticeSite, tmp_path: Path
) -> None:
    # Given a crawl of a site of 100 quotes
    arguments = ("--url", practice_site.url, "--data", tmp_path)
    first = _crawl(*arguments)
    assert (first.returncode, first.stderr) == (0, "")
    # When it runs again on the same data
    second = _crawl(*arguments)
    # Then both tell of the same 100 documents, and every worker finished
    assert (second.returncode, second.stderr) == (0, "")
    for ended in (first, second):
        assert "crawlers.quotes: 100 documents" in ended.stdout
        assert len(re.findall(r"worker-\d .* finished +│ +0 ", ended.stdout)) == 2
        assert sum(int(done) for done in re.findall(r"worker-\d +│ +(\d+)", ended.stdout)) > 100


def test_an_interrupted_crawl_leaves_no_process_and_goes_on_next_time(tmp_path: Path) -> None:
    # Given a crawl under way
    data = tmp_path / "data"
    with run_practice_site(tmp_path, delay_ms=50) as site:
        arguments = ["--url", site.url, "--data", str(data)]
        crawl = Process([*CRAWL, *arguments], tmp_path / "crawl.log", cwd=ROOT)
        crawl.start()
        try:
            wait_until(lambda: len(site.visits()) > 10)
            family = _children(crawl.pid)
            assert len(family) == 4
            # When it is interrupted
            crawl.signal(signal.SIGINT)
            # Then it ends soon and none of its servers and workers remain
            assert crawl.wait(timeout_s=40) == 130
            assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]
        finally:
            crawl.kill()
        done = {visit.path for visit in site.visits()}
        # And when it is started again
        visits_before = len(site.visits())
        resumed = _crawl(*arguments)
        again = done & {visit.path for visit in site.visits()[visits_before:]}
    # Then it says that it goes on, and it asked for no page again
    assert resumed.returncode == 0
    assert "An interrupted crawl goes on" in resumed.stdout
    assert again <= {"/robots.txt"}


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_that_fails_is_shown_with_the_end_of_its_log(
    practice_site: PracticeSite, tmp_path: Path
) -> None:
    # Given a spider that does not exist, When it is to crawl
    ended = _crawl("--spider", "nobody", "--url", practice_site.url, "--data", tmp_path)
    # Then the status says so, and the log's end tells why
    assert ended.returncode == 1
    assert "worker-1 failed" in ended.stdout
    assert "nobody" in ended.stdout.partition("worker-1 failed")[2]


@pytest.mark.parametrize(
    ("option", "value"), [("--workers", "many"), ("--workers", "0"), ("--url", "example.invalid")]
)
def test_a_bad_option_is_said_in_one_sentence(option: str, value: str) -> None:
    ended = _crawl(option, value)
    assert ended.returncode == 2
    assert re.fullmatch(rf"{option[2:].upper()} must .*'{value}'\.\n", ended.stderr)


def test_a_target_that_does_not_exist_is_answered_with_those_that_do() -> None:
    # Given a shell without a make around it
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    # When a target is misspelt
    ended = subprocess.run(["make", "crwal"], cwd=ROOT, env=env, capture_output=True, text=True)
    # Then one sentence lists those that exist
    assert ended.returncode != 0
    assert ended.stdout == (
        "There is no target 'crwal': use one of crawl test chaos check gate servers lock newest clean help.\n"
    )


def test_the_addresses_of_your_own_servers_are_used(
    redis_url: str, mongo_uri: str, database: str, practice_site: PracticeSite, tmp_path: Path
) -> None:
    # Given a Redis and a MongoDB of the user's own
    env = {
        **os.environ,
        "REDIS_URL": redis_url,
        "MONGO_URI": mongo_uri,
        "MONGO_DATABASE": database,
    }
    # When a crawl runs
    command = [*CRAWL, "--url", practice_site.url, "--data", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    # Then its items are there, and no server was started
    assert ended.returncode == 0, ended.stderr
    assert f"{database}.quotes: 100 documents" in re.sub(r"\s+", " ", ended.stdout)
    assert not (tmp_path / "mongo").exists()
