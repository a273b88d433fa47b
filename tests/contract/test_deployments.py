"""Redis behind TLS, behind sentinels, and as a cluster: a whole crawl on each, on real servers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import redis
from redis.exceptions import ConnectionError

from crawlers.frontier import Frontier, connect
from crawlers.retrying import until_redis_answers
from deploy.local.loopback_server import LoopbackServer
from deploy.local.processes import LOOPBACK
from deploy.local.servers import RedisServer
from tests.certificates import Certificate
from tests.helpers import wait_until

from .crawl import crawl_through, crawl_with

# TLS -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _tls_in_front_of(url: str, certificate: Certificate) -> AsyncIterator[int]:
    """A port at which the Redis of `url` speaks TLS, as some builds of it cannot by themselves."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    port = redis.Redis.from_url(url).connection_pool.connection_kwargs["port"]

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.gather(pump(reader, to_redis), pump(from_redis, writer))

    async with await asyncio.start_server(serve, LOOPBACK, 0, ssl=context) as listener:
        yield listener.sockets[0].getsockname()[1]


async def test_a_crawl_runs_over_tls(server: RedisServer, certificate: Certificate) -> None:
    # Given a Redis that speaks TLS, with a certificate of an authority of its own
    async with _tls_in_front_of(server.url, certificate) as port:
        # When a crawl runs that trusts this authority
        # Then it works
        await crawl_with(
            {
                "REDIS_URL": f"rediss://{LOOPBACK}:{port}/0",
                "REDIS_PARAMS": {"ssl_ca_certs": str(certificate.certificate)},
            }
        )


async def test_a_redis_whose_certificate_nobody_vouches_for_is_not_talked_to(
    server: RedisServer, certificate: Certificate
) -> None:
    # Given a Redis with a certificate of an unknown authority
    async with _tls_in_front_of(server.url, certificate) as port:
        # When a crawl runs that trusts the usual ones
        # Then it stops with the reason, before a password has gone over the line
        with pytest.raises(ConnectionError) as caught:
            await crawl_with({"REDIS_URL": f"rediss://:s3cret@{LOOPBACK}:{port}/0"})
        assert isinstance(caught.value.__context__, ssl.SSLCertVerificationError)


# Sentinels -------------------------------------------------------------------------------------------


class SentinelServer(RedisServer):
    """A sentinel that watches over the primary at `primary_port` under the name `service`."""

    def __init__(self, folder: Path, primary_port: int) -> None:
        super().__init__(folder)
        self._primary_port = primary_port

    def _arguments(self) -> list[str]:
        config = self.folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind {LOOPBACK}\ndir {self.folder}\n"
            f"sentinel monitor service {LOOPBACK} {self._primary_port} 1\n"
            "sentinel down-after-milliseconds service 200\nsentinel failover-timeout service 1000\n"
        )
        return [str(config), "--sentinel"]


@contextmanager
def _running(server: LoopbackServer) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()


def _is_primary(client: redis.Redis) -> bool:
    """Whoever is promoted closes its connections."""
    try:
        return bool(client.role()[0] == b"master")
    except redis.exceptions.ConnectionError:
        return False


async def test_a_crawl_finds_its_redis_by_sentinels_and_again_after_a_failover(
    server: RedisServer, tmp_path: Path
) -> None:
    # Given a primary, its replica, and a sentinel that knows both
    replica = RedisServer(tmp_path / "replica")
    sentinel = SentinelServer(tmp_path / "sentinel", server.port)
    with _running(replica), redis.Redis.from_url(replica.url) as client:
        with redis.Redis.from_url(server.url) as primary:
            primary.config_set("repl-diskless-sync-delay", 0)  # seconds to wait for more replicas
        client.replicaof(LOOPBACK, server.port)
        wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        with _running(sentinel), redis.Redis(LOOPBACK, sentinel.port) as watch:
            wait_until(lambda: watch.sentinel_master("service")["num-slaves"] == 1)
            # One of the sentinels named is away.
            url = f"redis+sentinel://{LOOPBACK}:1,{LOOPBACK}:{sentinel.port}/service/2"
            async with aclosing(connect({"REDIS_URL": url})) as through:
                # When a crawl runs, the primary dies, and another crawl runs on the same client
                await crawl_through(Frontier(through, "first"))
                server.kill()
                wait_until(lambda: _is_primary(client))
                await until_redis_answers(through.ping, patience_s=20)
                await crawl_through(Frontier(through, "second"))
            # Then both went to the database that the address names
            assert set(client.info("keyspace")) == {"db2"}


async def test_sentinels_may_have_a_password_and_tls_of_their_own(
    server: RedisServer, tmp_path: Path, certificate: Certificate
) -> None:
    # Given a sentinel with a password, that speaks TLS, while the primary has neither
    sentinel = SentinelServer(tmp_path / "sentinel", server.port)
    with _running(sentinel), redis.Redis(LOOPBACK, sentinel.port) as watch:
        watch.acl_setuser("default", enabled=True, reset_passwords=True, passwords="+s3cret")
        async with _tls_in_front_of(f"redis://{LOOPBACK}:{sentinel.port}", certificate) as port:
            settings = {"REDIS_URL": f"redis+sentinel://{LOOPBACK}:{port}/service"}
            own = {"password": "s3cret", "ssl": True, "ssl_ca_certs": str(certificate.certificate)}
            # When a crawl runs that says how to reach sentinels
            # Then it works
            await crawl_with({**settings, "REDIS_PARAMS": {"sentinel_kwargs": own}})


# Cluster ---------------------------------------------------------------------------------------------


class ClusterServer(RedisServer):
    """A Redis Cluster of one node."""

    def _arguments(self) -> list[str]:
        return [*super()._arguments(), "--cluster-enabled", "yes"]


async def test_a_crawl_runs_on_a_cluster(tmp_path: Path) -> None:
    # Given a node that has all slots
    node = ClusterServer(tmp_path / "node", appendonly=False)
    with _running(node), redis.Redis(LOOPBACK, node.port) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: client.cluster("info")["cluster_state"] == "ok")
        # When a crawl runs, with claims and all
        await crawl_with({"REDIS_URL": f"redis+cluster://{LOOPBACK}:{node.port}"})
        # Then it works, and all its keys are in one slot
        slots = {client.cluster("keyslot", key) for key in client.keys("*")}
        assert len(slots) == 1
