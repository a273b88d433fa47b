"""The users of deploy/redis.conf can do what they need and no more, and crawls run over TLS."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.binaries import redis_program
from deploy.local.practice_site import PracticeSite
from deploy.local.processes import Process, free_port
from deploy.local.servers import RedisServer, redis_server
from tests.helpers import ROOT, run_spider, wait_until

PASSWORDS = {"worker": "w-password", "intake": "i-password", "operator": "o-password"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with the users of deploy/redis.conf."""
    with redis_server(tmp_path / "redis") as server, redis.Redis.from_url(server.url) as admin:
        admin.acl_setuser("admin", enabled=True, passwords=["+a"], keys=["*"], commands=["+@all"])
        admin.auth("a", "admin")
        for line in (ROOT / "deploy" / "redis.conf").read_text().splitlines():
            if line.startswith("user "):
                _, name, *rules = shlex.split(line, comments=False)
                hashed = hashlib.sha256(PASSWORDS.get(name, "").encode()).hexdigest()
                rules = [f"#{hashed}" if rule.startswith("#") else rule for rule in rules]
                admin.execute_command("ACL", "SETUSER", name, *rules)
        yield server
        admin.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all"])


def as_user(server: RedisServer, name: str) -> redis.Redis:
    """A client of one of the users."""
    return redis.Redis(port=server.port, username=name, password=PASSWORDS[name])


def url_of(server: RedisServer, name: str) -> str:
    """A user's REDIS_URL."""
    return f"redis://{name}:{PASSWORDS[name]}@127.0.0.1:{server.port}/0"


@pytest.fixture
def options(server: RedisServer, tmp_path: Path, crawl_name: str) -> dict[str, Any]:
    """A spider that crawls as the user `worker`."""
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name},
        "settings": {"SPIDER_MODULES": "tests.integration.spiders", "ITEM_PIPELINES": "{}"},
        "env": {"REDIS_URL": url_of(server, "worker")},
    }


def test_the_user_worker_may_call_all_that_the_scripts_of_workers_call() -> None:
    # Given the scripts that workers run, and what their user may do
    scripts = [path.read_text() for path in (ROOT / "crawlers" / "frontier").glob("*.lua")]
    (rules,) = (
        line.split()
        for line in (ROOT / "deploy" / "redis.conf").read_text().splitlines()
        if "user worker" in line
    )
    allowed = {rule[1:].partition("|")[0].upper() for rule in rules if rule.startswith("+")}
    # When the commands are looked for
    called = {
        name for text in scripts for name in re.findall(r"(?:call\(|first_use\('\w+', )'([A-Z]+)'", text)
    }
    # Then all of them are allowed
    assert len(called) > 40
    assert called <= allowed


def test_a_crawl_needs_no_more_than_the_users_worker_and_intake_may_do(
    server: RedisServer, options: dict[str, Any], practice_site: PracticeSite, crawl_name: str
) -> None:
    # Given start URLs that the user `intake` pushed, as a list
    leaf = f"{practice_site.url}traps/leaf/"
    with as_user(server, "intake") as intake:
        intake.lpush(f"{crawl_name}:start_urls", *(f"{leaf}{n}" for n in range(20)), "bad")

    # When workers crawl as the user `worker`, and start anew after they have finished
    for run in (1, 2):
        ended = run_spider("plain", **options)

        # Then nothing was denied to them
        assert f"run {run}, " in ended.log
        assert ended.reason == "finished"
        assert "denies" not in ended.log
        assert "permission" not in ended.log

    # And no password is in their logs
    assert PASSWORDS["worker"] not in ended.log


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("worker", "FLUSHALL"),
        ("worker", "KEYS *"),
        ("worker", "CONFIG GET requirepass"),
        ("worker", "ACL LIST"),
        ("worker", "GET unrelated"),
        ("worker", "SET unrelated 1"),
        ("worker", "SCRIPT FLUSH"),
        ("worker", "SHUTDOWN"),
        ("intake", "LPOP start_urls"),
        ("intake", "LRANGE start_urls 0 -1"),
        ("intake", "HGETALL {c}:meta"),
        ("intake", "LPUSH {c}:1:requests:h:0 x"),
        ("intake", "EVAL return(1) 0"),
        ("operator", "FLUSHALL"),
        ("operator", "KEYS *"),
        ("operator", "CONFIG SET dir /tmp"),
        ("operator", "SHUTDOWN"),
        ("operator", "ACL LIST"),
    ],
)
def test_a_user_is_denied_what_it_does_not_need(server: RedisServer, user: str, command: str) -> None:
    # Given a user, when it tries what is none of its business, then Redis denies it
    with as_user(server, user) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split(" "))


def test_a_wrong_password_is_named_without_being_shown(server: RedisServer, options: dict[str, Any]) -> None:
    # Given a worker with a wrong password
    options["env"]["REDIS_URL"] = f"redis://worker:oh-no@127.0.0.1:{server.port}/0"
    options["settings"]["FRONTIER_PATIENCE_S"] = 0.5

    # When it starts
    ended = run_spider("plain", **options)

    # Then it says where to look, and fails
    assert "Redis denies the user or password: see REDIS_URL" in ended.log
    assert "oh-no" not in ended.log
    assert ended.status == 1


def test_the_configuration_is_one_that_redis_starts_with(tmp_path: Path) -> None:
    # Given deploy/redis.conf with hashes put in, on a port of its own
    port = free_port()
    text = (ROOT / "deploy" / "redis.conf").read_text().replace("port 6379", f"port {port}")
    for name, password in PASSWORDS.items():
        text = text.replace(f"{name.upper()}_SHA256", hashlib.sha256(password.encode()).hexdigest())
    (tmp_path / "redis.conf").write_text(text)

    # When Redis starts with it
    redis_process = Process([redis_program(), "redis.conf"], tmp_path / "redis.log", cwd=tmp_path)
    redis_process.start()

    # Then it comes up
    try:
        wait_until(lambda: _answers(port))
    finally:
        redis_process.kill()


def _answers(port: int) -> bool:
    with redis.Redis(port=port) as client:
        try:
            return client.ping()
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.ConnectionError:
            return False
