"""The project deploys to Scrapyd as an egg, and what Scrapyd schedules shares one frontier."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

from deploy.local.practice_site import PracticeSite
from deploy.local.processes import Process, free_port
from tests.helpers import ROOT, close_reason, wait_until

SCRAPYD = Path(sys.executable).with_name("scrapyd")


class Scrapyd:
    """A running Scrapyd, by its HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, name: str, **data: Any) -> dict[str, Any]:
        """The answer to a request; a POST where there is data."""
        body = urllib.parse.urlencode(data, doseq=True).encode() if data else None
        with urllib.request.urlopen(f"{self.url}{name}", body, timeout=30) as answer:
            parsed: dict[str, Any] = json.load(answer)
        return parsed

    def is_up(self) -> bool:
        """It answers."""
        try:
            return self.call("daemonstatus.json")["status"] == "ok"
        except OSError:
            return False


@pytest.fixture
def scrapyd(tmp_path: Path, redis_url: str, mongo_uri: str, database: str) -> Iterator[Scrapyd]:
    """Scrapyd with this project's configuration, on a port and with folders of its own."""
    config = configparser.ConfigParser()
    config.read(ROOT / "deploy" / "scrapyd.conf")
    port = free_port()
    config["scrapyd"].update({"http_port": str(port)})
    config["scrapyd"].update({name: str(tmp_path / name) for name in ("eggs_dir", "logs_dir", "dbs_dir")})
    with (tmp_path / "scrapyd.conf").open("w") as file:
        config.write(file)
    env = {**os.environ, "REDIS_URL": redis_url, "MONGO_URI": mongo_uri, "MONGO_DATABASE": database}
    env["PYTHONPATH"] = str(ROOT / "deploy")
    process = Process([str(SCRAPYD), "--pidfile="], tmp_path / "scrapyd.log", cwd=tmp_path, env=env)
    process.start()
    running = Scrapyd(f"http://127.0.0.1:{port}/")
    try:
        wait_until(running.is_up)
        yield running
    finally:
        process.stop()


def deploy(scrapyd: Scrapyd, folder: Path) -> str:
    """Runs scrapyd-deploy in a copy of what a user has, so that building leaves nothing in the project."""
    subprocess.run(["git", "init", "-q", folder], check=True)
    for name in ("crawlers", "setup.py", "scrapy.cfg"):
        subprocess.run(["cp", "-r", ROOT / name, folder], check=True)
    text = (folder / "scrapy.cfg").read_text()
    (folder / "scrapy.cfg").write_text(text.replace("http://localhost:6800/", scrapyd.url))
    tool = Path(sys.executable).with_name("scrapyd-deploy")
    env = {**os.environ, "PATH": f"{tool.parent}:{os.environ['PATH']}"}
    done = subprocess.run([tool], cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://{own}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "rebound.example", "Origin": "http://rebound.example"}, 403),
    ],
)
def test_no_page_of_another_site_can_post(scrapyd: Scrapyd, headers: dict[str, str], status: int) -> None:
    # Given what a browser says of the page whose request it sends, or curl, which says nothing
    own = urllib.parse.urlsplit(scrapyd.url).netloc
    sent = {name: value.format(own=own) for name, value in headers.items()}
    for path in ("addversion.json", "schedule.json", "daemonstatus.json", ""):
        request = urllib.request.Request(scrapyd.url + path, headers=sent)
        # When it comes
        try:
            with urllib.request.urlopen(request, b"x=1" if "version" in path else None, timeout=30) as answer:
                got = answer.status
        except urllib.error.HTTPError as error:
            got = error.code
        # Then it is refused by itself, or is Scrapyd's to answer
        assert (got == 403) == (status == 403), path


def statuses(log: Path, jobs: list[str]) -> list[int]:
    """The exit status of each job, as Scrapyd says it in its `log`."""
    lines = {job: line for line in log.read_text().splitlines() for job in jobs if job in line}
    found = [re.search(r"exitstatus=(\d+)", lines[job]) for job in jobs]
    return [int(one[1]) if one else 0 for one in found]


def test_two_scheduled_jobs_crawl_from_the_egg_into_mongodb_sharing_one_frontier(
    scrapyd: Scrapyd,
    practice_site: PracticeSite,
    mongo_client: pymongo.MongoClient[dict[str, object]],
    redis_client: redis.Redis,
    crawl_name: str,
    database: str,
    tmp_path: Path,
) -> None:
    # Given the project, deployed by scrapyd-deploy
    output = deploy(scrapyd, tmp_path / "project")
    assert '"status": "ok"' in output, output
    assert scrapyd.call("listspiders.json?project=crawlers")["spiders"] == ["pages", "quotes"]

    # When two jobs of a crawl are scheduled
    url = f"{practice_site.url.rstrip('/')}/graph/0"
    job = {"project": "crawlers", "spider": "pages", "url": url, "crawl": crawl_name}
    jobs = [scrapyd.call("schedule.json", **job)["jobid"] for _ in range(2)]

    # Then both end by themselves, and have shared the work
    def finished() -> bool:
        done = scrapyd.call("listjobs.json?project=crawlers")["finished"]
        return {job["id"] for job in done} == set(jobs)

    wait_until(finished, 90)
    logs = [path.read_text() for path in (tmp_path / "logs_dir").rglob("*.log")]
    assert {close_reason(log) for log in logs} == {"finished"}
    assert all("'frontier/done'" in log for log in logs)
    # And every page is in MongoDB once
    assert mongo_client[database]["pages"].count_documents({}) == 1000
    assert redis_client.hget(f"{{{crawl_name}}}:meta", "run") == b"1"

    # When a job ends for want of memory
    failing = {"MEMUSAGE_LIMIT_MB": 1, "MEMUSAGE_CHECK_INTERVAL_SECONDS": 0.1, "DOWNLOAD_DELAY": 1}
    job |= {"crawl": f"{crawl_name}-2", "setting": [f"{name}={value}" for name, value in failing.items()]}
    jobs.append(scrapyd.call("schedule.json", **job)["jobid"])
    wait_until(finished, 60)

    # Then Scrapyd is told that it failed, and that the others did not
    assert statuses(tmp_path / "scrapyd.log", jobs) == [0, 0, 1]
