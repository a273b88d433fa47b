"""How a crawl finds its Redis: by scrapy-redis' own settings. Mistakes in them are one sentence each."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
import scrapy_redis.connection
from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError
from scrapy.settings import Settings

from crawlers.frontier import BadConnection, Frontier, connect
from deploy.local.processes import LOOPBACK
from deploy.local.servers import RedisServer

from .crawl import crawl_through, crawl_with

PASSWORD = "s3cret/with@all:kinds#of%signs"


class UnixServer(RedisServer):
    """A Redis that listens at a socket file, too."""

    @property
    def path(self) -> Path:
        """The socket's file."""
        return self.folder / "redis.sock"

    def _arguments(self) -> list[str]:
        return [*super()._arguments(), "--unixsocket", str(self.path)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UnixServer]:
    """A Redis of this test alone."""
    server = UnixServer(tmp_path / "redis", appendonly=False)
    server.start()
    yield server
    server.stop()


async def test_a_crawl_runs_by_url(server: UnixServer) -> None:
    # Given the address of a Redis
    # When a crawl runs with it
    # Then it works, in the database that the address names
    await crawl_with({"REDIS_URL": f"redis://{LOOPBACK}:{server.port}/3"})
    assert _databases(server) == {"db3"}


async def test_a_crawl_runs_by_host_port_and_db(server: UnixServer) -> None:
    # Given host, port and database each on their own, as text from a command line
    # When a crawl runs with them
    # Then it works
    await crawl_with({"REDIS_HOST": LOOPBACK, "REDIS_PORT": str(server.port), "REDIS_DB": "2"})
    assert _databases(server) == {"db2"}


async def test_the_url_wins_over_host_and_port(server: UnixServer) -> None:
    # Given an address, and a host and port where nobody listens
    # When a crawl runs
    # Then it goes by the address, as with scrapy-redis
    await crawl_with(
        {"REDIS_URL": server.url, "REDIS_HOST": "nobody.invalid", "REDIS_PORT": 1, "REDIS_DB": 5}
    )
    assert _databases(server) == {"db0"}


@pytest.mark.parametrize(
    ("settings", "database"),
    [
        ({"REDIS_DB": 4}, "db4"),
        ({"REDIS_PARAMS": {"db": 4}}, "db4"),
        ({"REDIS_DB": 3, "REDIS_PARAMS": {"db": 4}}, "db3"),
        ({"REDIS_DB": 0, "REDIS_PARAMS": {"db": 4}}, "db4"),
    ],
    ids=str,
)
async def test_a_database_beside_a_url_without_one_counts(
    server: UnixServer, settings: dict[str, Any], database: str
) -> None:
    # Given an address that names no database, and settings that do
    settings = {"REDIS_URL": f"redis://{LOOPBACK}:{server.port}", **settings}
    # When scrapy-redis makes its client of them, and a crawl runs with them
    stock = scrapy_redis_client(settings)
    await crawl_with(settings)
    # Then both use that database
    assert f"db{stock.get_connection_kwargs()['db']}" == database
    assert _databases(server) == {database}


def scrapy_redis_client(settings: dict[str, Any]) -> redis.Redis:
    """What scrapy-redis itself makes of the settings."""
    return scrapy_redis.connection.from_settings(Settings(settings))


async def test_a_crawl_runs_over_a_socket_file(server: UnixServer) -> None:
    # Given a socket's file
    # When a crawl runs with it
    # Then it works
    await crawl_with({"REDIS_URL": f"unix://{server.path}?db=1"})
    assert _databases(server) == {"db1"}


def _databases(server: RedisServer) -> set[str]:
    with redis.Redis.from_url(server.url) as client:
        return set(client.info("keyspace"))


@pytest.mark.parametrize("where", ["REDIS_URL", "REDIS_PARAMS", "REDIS_PARAMS as JSON"])
async def test_a_password_may_stand_in_the_url_or_the_parameters(server: UnixServer, where: str) -> None:
    # Given a Redis with a password
    with redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", PASSWORD)
    settings: dict[str, Any] = {
        "REDIS_URL": {"REDIS_URL": f"redis://:{quote(PASSWORD, safe='')}@{LOOPBACK}:{server.port}"},
        "REDIS_PARAMS": {"REDIS_URL": server.url, "REDIS_PARAMS": {"password": PASSWORD}},
        "REDIS_PARAMS as JSON": {
            "REDIS_URL": server.url,
            "REDIS_PARAMS": f'{{"password": "{PASSWORD}"}}',
        },
    }[where]
    # When a crawl runs with it, and without it
    # Then it works with the password only
    await crawl_with(settings)
    with pytest.raises(AuthenticationError):
        await crawl_with({"REDIS_URL": server.url})
    with pytest.raises(AuthenticationError) as wrong:
        await crawl_with({"REDIS_URL": server.url, "REDIS_PARAMS": {"password": f"{PASSWORD}!"}})
    assert PASSWORD not in str(wrong.value)


async def test_a_user_needs_its_crawls_keys_only_and_nothing_dangerous(server: UnixServer) -> None:
    # Given a user with the keys of one crawl, who may neither flush nor configure anything
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(
            *("ACL", "SETUSER", "worker", "on", f">{PASSWORD}", "~{crawl}:*"),
            *("+@read", "+@write", "+@connection", "+@transaction", "+eval", "+evalsha", "+time"),
            "-@dangerous",
        )
        client.config_set("requirepass", "of somebody else")
    settings = {"REDIS_URL": server.url, "REDIS_PARAMS": {"username": "worker", "password": PASSWORD}}
    # When a crawl runs, and another one tries to
    # Then the first works, and the second is denied before it has written anything
    await crawl_with(settings)
    async with aclosing(connect(settings)) as client:
        with pytest.raises(NoPermissionError):
            await crawl_through(Frontier(client, "another"))


async def test_a_call_is_tried_once_for_its_caller_knows_what_to_repeat() -> None:
    # Given a server that hangs up on everybody
    calls = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.close()

    async with await asyncio.start_server(hang_up, LOOPBACK, 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        # When it is asked
        async with aclosing(connect({"REDIS_HOST": LOOPBACK, "REDIS_PORT": port})) as client:
            with pytest.raises(ConnectionError):
                await Frontier(client, "crawl").purge()
    # Then it is not asked again and again
    assert calls == 1


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a slash in the password": ({"REDIS_URL": "redis://me:s3cret/x@localhost:6379/0"}, "REDIS_URL"),
    "a number sign in it": ({"REDIS_URL": "redis://:s3cret#x@localhost:6379/0"}, "REDIS_URL"),
    "a slash with sentinels": ({"REDIS_URL": "redis+sentinel://:s3cret/x@a:1/service"}, "REDIS_URL"),
    "a slash with a cluster": ({"REDIS_URL": "redis+cluster://:s3cret/x@a:1"}, "REDIS_URL"),
    "a bracket": ({"REDIS_URL": "redis://:s3cret@[::1/0"}, "REDIS_URL"),
    "another protocol": ({"REDIS_URL": "http://:s3cret@localhost"}, "REDIS_URL"),
    "no protocol": ({"REDIS_URL": "localhost:6379"}, "REDIS_URL"),
    "a port out of range": ({"REDIS_URL": "redis://localhost:99999"}, "REDIS_URL"),
    "a port of letters": ({"REDIS_URL": "redis://:s3cret@localhost:port/0"}, "REDIS_URL"),
    "a database of a cluster": ({"REDIS_URL": "redis+cluster://a:1", "REDIS_DB": 4}, "REDIS_DB must be 0"),
    "sentinels' arguments that are no map": (
        {"REDIS_URL": "redis+sentinel://a:1/service", "REDIS_PARAMS": {"sentinel_kwargs": "s3cret"}},
        "sentinel_kwargs",
    ),
    "no service": ({"REDIS_URL": "redis+sentinel://:s3cret@a:1"}, "lacks the service"),
    "a db of letters": ({"REDIS_URL": "redis+sentinel://:s3cret@a:1/service/db"}, "REDIS_URL"),
    "an unknown parameter": ({"REDIS_PARAMS": {"pasword": "s3cret"}}, "pasword"),
    "one beside a URL": ({"REDIS_URL": "redis://a", "REDIS_PARAMS": {"pasword": "s3cret"}}, "pasword"),
    "one with sentinels": (
        {"REDIS_URL": "redis+sentinel://a:1/service", "REDIS_PARAMS": {"pasword": "s3cret"}},
        "pasword",
    ),
    "one with a cluster": (
        {"REDIS_URL": "redis+cluster://a:1", "REDIS_PARAMS": {"pasword": "s3cret"}},
        "pasword",
    ),
    "one in the URL": ({"REDIS_URL": "redis://localhost?nonsense=s3cret"}, "nonsense"),
    "parameters of TLS without TLS": (
        {"REDIS_URL": "redis://a", "REDIS_PARAMS": {"ssl_ca_certs": "ca.pem"}},
        "ssl_ca_certs",
    ),
    "parameters that are no map": ({"REDIS_PARAMS": "password=s3cret"}, "REDIS_PARAMS"),
    "parameters that are a list": ({"REDIS_PARAMS": '["s3cret"]'}, "REDIS_PARAMS"),
    "REDIS_PORT of letters": ({"REDIS_PORT": "redis"}, "REDIS_PORT must be a number, not 'redis'"),
    "REDIS_DB of letters": ({"REDIS_DB": "quotes"}, "REDIS_DB must be a number, not 'quotes'"),
    "a port in the parameters": ({"REDIS_PARAMS": {"port": "redis"}}, "REDIS_PORT must be a number"),
}


@pytest.mark.parametrize(("settings", "named"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_settings_is_one_sentence_that_names_it_and_shows_no_password(
    settings: dict[str, Any], named: str
) -> None:
    # Given settings with a mistake
    # When a client is made of them
    with pytest.raises(BadConnection) as mistake:
        connect(settings)
    # Then the error names what is wrong, in one line, and holds nothing secret
    text = str(mistake.value)
    assert named in text
    assert "\n" not in text
    assert "s3cret" not in "".join(traceback.format_exception(mistake.value))
