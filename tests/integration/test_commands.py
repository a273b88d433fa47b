"""`scrapy frontier` as an operator uses it: in a pipe, on a terminal, and while a crawl is under way."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
from scrapy import Request
from scrapy.utils.request import fingerprint

from crawlers.frontier import Batch, Failed, Found, Frontier, Link, Member, Terms, connect, encode
from crawlers.scheduler.requests import fingerprint_of
from deploy.local.practice_site import PracticeSite
from tests.helpers import ROOT, start_spider, wait_until

_HOUR_MS = 3_600_000


class Console:
    """A crawl with a worker of ours, and `scrapy frontier` for it."""

    def __init__(
        self, redis_url: str, mongo_uri: str, database: str, crawl: str, runner: asyncio.Runner
    ) -> None:
        self.crawl = crawl
        self._runner = runner
        mongo = {"MONGO_URI": mongo_uri, "MONGO_DATABASE": database}
        self._env = {**os.environ, "REDIS_URL": redis_url, **mongo, "COLUMNS": "160", "TERM": "xterm"}
        self._client = connect({"REDIS_URL": redis_url})
        self._member: Member
        self._runner.run(self._join())

    def of(self, crawl: str) -> Console:
        """The same for another crawl, without a worker."""
        other = copy.copy(self)
        other.crawl = crawl
        return other

    async def _join(self) -> None:
        terms = Terms(ttl_ms=_HOUR_MS, limit=1)
        self._member, _ = await Frontier(self._client, self.crawl).join("worker", terms)

    def exchange(self, **batch: Any) -> Any:
        """An exchange of the worker."""
        return self._runner.run(self._member.exchange(Batch(**batch)))

    def close(self) -> None:
        """Ends the connection."""
        self._runner.run(self._client.aclose())

    def command(self, *words: str) -> list[str]:
        """What is typed for `words`."""
        return [sys.executable, "-m", "scrapy", "frontier", *words, "--crawl", self.crawl]

    def run(self, *words: str, status: int = 0) -> str:
        """What `scrapy frontier WORDS` prints to a pipe; its errors where `status` isn't 0."""
        ended = subprocess.run(
            self.command(*words),
            cwd=ROOT,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended.stderr if status == 2 else ended.stdout

    def json(self, *words: str) -> Any:
        """What it prints with --json."""
        return json.loads(self.run(*words, "--json"))

    def on_terminal(self, *words: str, answer: str = "") -> tuple[int, str]:
        """The exit status, and what it shows on a terminal where `answer` is typed."""
        ours, its = pty.openpty()
        process = subprocess.Popen(
            self.command(*words), cwd=ROOT, env=self._env, stdin=its, stdout=its, stderr=its
        )
        os.close(its)
        os.write(ours, f"{answer}\n".encode())
        shown = b"".join(_until_closed(ours))
        os.close(ours)
        return process.wait(60), shown.decode()


def _until_closed(terminal: int) -> Iterator[bytes]:
    try:
        while some := os.read(terminal, 4096):
            yield some
    except OSError:  # so ends a terminal on Linux
        return


def link(url: str) -> Found:
    """A link as a worker queues it."""
    request = Request(url)
    return Found(fingerprint_of(fingerprint(request)), "a.example", 0, encode(Link(url), 10_000))


@pytest.fixture
def console(redis_url: str, mongo_uri: str, database: str, crawl_name: str) -> Iterator[Console]:
    """A crawl of this test alone."""
    with asyncio.Runner() as runner:
        console = Console(redis_url, mongo_uri, database, crawl_name, runner)
        yield console
        console.close()


def test_where_answers_for_each_place_in_which_a_url_can_be(console: Console) -> None:
    # Given pages that are done, leased, dead and queued, and one spelled otherwise
    links = [link(f"http://a.example/{n}?b=1&a=2") for n in range(5)]
    leased = console.exchange(found=links, want=1).leases
    leased = console.exchange(done=[leased[0].id], want=1).leases
    console.exchange(failed=[Failed(leased[0].id, "callback raised ValueError", final=True)], want=1)

    def where(n: int) -> Any:
        return console.json("where", f"http://a.example/{n}?a=2&b=1#part")

    # When each is asked for
    # Then it is found
    assert where(0)["state"] == "done"
    assert (where(1)["state"], where(1)["reason"]) == ("dead", "callback raised ValueError")
    assert where(2)["worker"].startswith("worker:")
    assert (where(4)["state"], where(4)["ahead"], where(4)["due_ms"]) == ("queued", 1, None)
    assert (where(9)["state"], where(9)["seen"]) == ("never seen", False)
    # And people are told in a sentence, and what can't be known
    told = console.run("where", "http://a.example/4?a=2&b=1")
    assert "is queued: 1 request of its host before it" in told
    assert "not one by one" in told
    # And it doesn't matter where the options stand
    assert console.run("where", "--crawl", console.crawl, "http://a.example/4?a=2&b=1") == told


def test_urls_are_added_and_forgotten(
    console: Console, mongo_client: pymongo.MongoClient[dict[str, object]], database: str
) -> None:
    # Given a page that is done, and documents of it and of another
    leased = console.exchange(found=[link("http://a.example/1"), link("http://a.example/2")], want=2).leases
    console.exchange(done=[lease.id for lease in leased])
    mongo_client[database]["pages"].insert_many([{"url": f"http://a.example/{n}"} for n in (1, 2)])
    # When it is added, with a new one that is more urgent
    assert "Queued 1 URL for" in console.run("add", "http://a.example/1")
    assert console.json("add", "--priority", "7", "http://a.example/3", "http://b.example/") == {"queued": 2}
    # Then they are queued, the urgent one first
    assert console.json("where", "http://a.example/3")["priority"] == 7
    assert b"example/1" not in console.exchange(want=3, slots=9).leases[0].payload
    assert console.json("status")["enqueued"] == 5
    # When what was seen is forgotten, by its URL and by a pattern of documents
    assert "Forgot 1 URL" in console.run("forget", "http://a.example/1")
    assert console.json("forget", "example/[12]$") == {"forgotten": 1}
    # Then links to it are taken again
    reply = console.exchange(found=[link("http://a.example/1"), link("http://a.example/2")])
    assert reply.known == 0
    # And a mistake is one sentence
    assert "'nonsense' is not a URL" in console.run("add", "nonsense", status=2)
    assert "'(' is no URL and no regular expression" in console.run("forget", "(", status=2)


def test_pause_resume_seal_and_status_tell_the_same_story(console: Console) -> None:
    # Given a crawl under way
    console.exchange(found=[link("http://a.example/")])
    assert console.json("status")["state"] == "running"
    # When it is paused, sealed and resumed
    # Then its status says so each time
    console.run("pause")
    assert console.json("status")["state"] == "paused"
    console.run("seal")
    assert console.json("status")["state"] == "paused, sealed"
    console.run("resume")
    assert console.json("status")["state"] == "sealed"
    assert console.exchange(want=1).leases


def test_drop_retry_clear_export_and_import_round_trip(console: Console, tmp_path: Path) -> None:
    # Given ten queued pages
    console.exchange(found=[link(f"http://a.example/{n}") for n in range(10)])
    # When some are dropped and retried
    assert "Dropped 1 request" in console.run("drop", "/7$", "--yes")
    assert console.json("dead", "--reason", "operator")[0]["url"] == "http://a.example/7"
    assert console.json("retry-dead") == {"retried": 1, "skipped": 0}
    # And the crawl is exported, cleared and imported again
    file = str(tmp_path / "crawl.jsonl")
    assert "pause it first" in console.run("export", file, status=2)
    console.run("pause")
    console.run("export", file)
    console.run("clear", "--yes")
    assert console.json("status")["queued"] == 0
    assert console.exchange(want=1).fenced
    console.run("import", file)
    # Then all is there again, and all figures fit
    assert (console.json("status")["queued"], console.json("status")["seen"]) == (10, 10)
    assert console.json("hosts")[0]["queued"] == 10
    assert console.json("check")["findings"] == []


def test_check_ends_with_1_until_what_is_wrong_is_repaired(
    console: Console, redis_client: redis.Redis
) -> None:
    # Given a crawl with a wrong counter
    console.exchange(found=[link("http://a.example/")])
    redis_client.hincrby(f"{{{console.crawl}}}:meta", "queued", 5)
    # When it is checked
    # Then it says so, and repairs it when it is asked to
    assert "Wrong: the crawl counts 6 queued, its keys hold 1." in console.run("check", status=1)
    assert "Repaired: added -5 to the counter queued." in console.run("check", "--repair")
    assert "All figures fit" in console.run("check")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fly"], "there is no verb 'fly'; there are status, hosts"),
        (["where", "nowhere"], "'nowhere' is not a URL"),
        (["where"], "say which: scrapy frontier where URL"),
        (["drop", "["], "'[' is no regular expression"),
        (["drop", "x"], "no queued request has a URL in which 'x' is found"),
        (["clear"], "There is no terminal to ask on: add --yes"),
        (["status", "--repair"], "--repair is not for status"),
        (["status", "--loud"], "'--loud' can't be used here"),
        (["hosts", "--limit", "-1"], "--limit must be at least 0, not -1"),
        (["where", "http://a/", "--spider", "nobody"], "this project has no spider 'nobody'"),
        (["import", "/nowhere.jsonl"], "/nowhere.jsonl can't be read: "),
        (["status", "-s", "REDIS_URL=redis://127.0.0.1:1/0"], "Redis can't be reached"),
    ],
)
def test_a_mistake_is_answered_by_one_sentence_and_status_2(
    console: Console, words: list[str], sentence: str
) -> None:
    # Given a crawl
    # When something is asked for that can't be done
    said = console.run(*words, status=2)
    # Then one line says why
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert said.startswith("scrapy frontier: ")


def test_an_unknown_crawl_is_answered_with_those_that_there_are(console: Console) -> None:
    # Given a crawl
    other = console.of("nobody")
    # When another is asked for
    said = other.run("status", status=2)
    # Then the sentence names this one
    assert "there is no crawl 'nobody' in this Redis; there are: " in said


def test_on_a_terminal_it_asks_before_anything_is_given_up(console: Console) -> None:
    # Given a crawl with a request
    console.exchange(found=[link("http://a.example/")])
    # When clear is asked and answered with no, and then with yes
    no, shown = console.on_terminal("clear", answer="n")
    # Then it does what was answered
    assert no == 2
    assert "[y/N]" in shown
    assert console.json("status")["queued"] == 1
    yes, _ = console.on_terminal("clear", answer="y")
    assert yes == 0
    assert console.json("status")["queued"] == 0


def test_what_a_site_wrote_can_not_move_the_cursor_of_a_terminal(console: Console) -> None:
    # Given a dead letter with the codes of a terminal in it
    lease = console.exchange(found=[link("http://a.example/")], want=1).leases[0]
    console.exchange(failed=[Failed(lease.id, "\x1b[2J[red]gone\r\n", final=True)])
    # When it is shown in a table on a terminal and in a pipe
    _, shown = console.on_terminal("dead")
    # Then it shows as text
    assert "\\x1b[2J[red]gone\\x0d\\x0a" in shown
    assert "┃" in shown
    assert "\\x1b[2J[red]gone\\x0d\\x0a" in console.run("dead")


def test_pausing_and_sealing_reach_a_real_spider(
    console: Console, redis_url: str, practice_site: PracticeSite, redis_client: redis.Redis, tmp_path: Path
) -> None:
    # Given a real spider at a crawl of its own, which would wait for ever
    crawl = f"{console.crawl}-real"
    own = console.of(crawl)
    settings = {"MAX_IDLE_TIME_BEFORE_CLOSE": 0, "DOWNLOAD_DELAY": 0.02}
    options: dict[str, Any] = {
        "arguments": {"crawl": crawl, "url": f"{practice_site.url.rstrip('/')}/graph/0"},
        "settings": {"SPIDER_MODULES": "tests.integration.spiders", **settings},
        "env": {"REDIS_URL": redis_url},
    }

    def done() -> int:
        return int(redis_client.hget(f"{{{crawl}}}:meta", "done") or 0)

    with start_spider("graph", tmp_path, **options) as spider:
        wait_until(lambda: done() >= 20)
        # When it is paused
        own.run("pause")
        wait_until(lambda: own.json("status")["leased"] == 0)
        # Then it fetches nothing more, and goes on when it is resumed
        before = done()
        own.run("check")
        assert done() == before
        # And once it is sealed and resumed, it ends with what is queued, its start URLs left alone
        own.run("seal")
        own.run("resume")
        redis_client.rpush(f"{crawl}:start_urls", practice_site.url)
        assert spider.end().reason == "finished"
    status = own.json("status")
    assert (status["queued"], status["leased"]) == (0, 0)
    assert before < status["done"] < 999
    assert redis_client.llen(f"{crawl}:start_urls") == 1
