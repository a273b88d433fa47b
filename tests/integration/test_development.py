"""Scrapy's commands for development answer as in Scrapy, and touch neither Redis nor MongoDB."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.local.practice_site import PracticeSite
from tests.helpers import ROOT


class Listener:
    """A port at which nobody is to call."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.calls = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        """Listens no more."""
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """What stands in the place of Redis and of MongoDB."""
    listener = Listener()
    yield listener
    listener.close()


PLAIN = {
    "ADDONS": "{}",
    "SCHEDULER": "scrapy.core.scheduler.Scheduler",
    "DOWNLOADER": "scrapy.core.downloader.Downloader",
    "ITEM_PIPELINES": "{}",
    "STATS_CLASS": "scrapy.statscollectors.MemoryStatsCollector",
}


def scrapy(listener: Listener, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """`scrapy ARGUMENTS` in the project, where Redis and MongoDB are the listener."""
    options = [word for name, value in settings.items() for word in ("-s", f"{name}={value}")]
    env = {
        **os.environ,
        "REDIS_URL": f"redis://127.0.0.1:{listener.port}/0",
        "MONGO_URI": f"mongodb://127.0.0.1:{listener.port}/?serverSelectionTimeoutMS=500",
    }
    command = [sys.executable, "-m", "scrapy", *arguments, *options]
    command += ["-s", "SPIDER_MODULES=tests.integration.spiders", "-s", "LOG_LEVEL=ERROR"]
    return subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True, timeout=60, check=False)


# What each is told, the practice site's URL in place of @.
COMMANDS = {
    "fetch": ["fetch", "@traps/leaf/a"],
    "fetch with a spider": ["fetch", "--spider", "contracted", "@traps/leaf/a"],
    "fetch with a spider fed through Redis": ["fetch", "--spider", "fed", "@traps/leaf/a"],
    "fetch headers": ["fetch", "--headers", "@traps/leaf/a"],
    "parse": ["parse", "--nocolour", "--spider", "graph", "-a", "url=@graph/0", "@graph/1"],
    "parse with pipelines": [
        *("parse", "--nocolour", "--pipelines", "--spider", "graph", "-a", "url=@graph/0", "@graph/1")
    ],
    "shell": ["shell", "-c", "(response.status, response.css('a::attr(href)').getall())", "@graph/1"],
    "shell with a spider": ["shell", "--spider", "fed", "-c", "(response.status, spider.name)", "@graph/1"],
    "check": ["check", "contracted"],
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_a_command_prints_what_scrapy_prints_and_calls_nobody(
    arguments: list[str], listener: Listener, practice_site: PracticeSite
) -> None:
    # Given a project whose Redis and MongoDB would notice
    told = [word.replace("@", practice_site.url) for word in arguments]
    # When the command runs, with the project's settings and with Scrapy's own classes
    ours = scrapy(listener, *told)
    calls = listener.calls
    plain = scrapy(listener, *told, **PLAIN)
    # Then it prints and returns the same, and has called neither
    assert calls == 0, ours.stderr
    assert _without_times(ours.stdout) == _without_times(plain.stdout)
    assert ours.returncode == plain.returncode == 0
    assert "Traceback" not in ours.stderr
    assert ours.stdout or ("Ran 2 contracts" in ours.stderr and "OK" in ours.stderr)


def _without_times(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(("> Date", "< Date")))


def test_pages_stay_in_the_queue_of_a_crawl_and_a_crawl_still_joins_it(
    listener: Listener, practice_site: PracticeSite
) -> None:
    # Given the same settings, when a spider crawls, by command or from its file
    graph = ROOT / "tests" / "integration" / "spiders" / "graph.py"
    for command in (["crawl", "graph"], ["runspider", str(graph)]):
        before = listener.calls
        told = [*command, "-a", f"url={practice_site.url}graph/0"]
        ended = scrapy(listener, *told, FRONTIER_PATIENCE_S=0.2)
        # Then it looks for the frontier, and doesn't crawl without
        assert listener.calls > before
        assert ended.returncode == 1
