"""Redis behind TLS, behind sentinels, and as a cluster: a whole crawl on each, on real servers."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.exceptions import ConnectionError

from crawlers.frontier import Frontier, connect
from deploy.local.loopback_server import LoopbackServer
from deploy.local.processes import LOOPBACK
from deploy.local.servers import RedisServer
from tests.helpers import wait_until

from .crawl import crawl_through


async def _crawl(settings: dict[str, Any]) -> None:
    client = connect(settings)
    try:
        await crawl_through(Frontier(client, "crawl"))
    finally:
        await client.aclose()


# TLS -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's certificate for loopback that vouches for itself: it is its own authority."""

    certificate: Path
    key: Path


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """A certificate that nobody else knows, for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a throwaway authority")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), False)
        .sign(key, hashes.SHA256())
    )
    files = Certificate(tmp_path / "certificate.pem", tmp_path / "key.pem")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


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
        await _crawl(
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
        with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            await _crawl({"REDIS_URL": f"rediss://:s3cret@{LOOPBACK}:{port}/0"})
