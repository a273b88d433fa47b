"""Items travel to MongoDB over TLS, and only to one that proves who it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest

from deploy.local.practice_site import PracticeSite
from deploy.local.servers import MongoServer
from tests.certificates import Certificate
from tests.helpers import run_spider


class TlsMongoServer(MongoServer):
    """A mongod that speaks TLS with a certificate."""

    def __init__(self, folder: Path, certificate: Certificate) -> None:
        super().__init__(folder)
        self._file = folder.parent / "mongod.pem"
        self._file.write_bytes(certificate.certificate.read_bytes() + certificate.key.read_bytes())
        self._authority = certificate.certificate

    def _arguments(self) -> list[str]:
        # The test's own look at it goes without TLS.
        tls = ["--tlsMode", "allowTLS", "--tlsAllowConnectionsWithoutCertificates"]
        files = ["--tlsCertificateKeyFile", str(self._file), "--tlsCAFile", str(self._authority)]
        return [*super()._arguments(), *tls, *files]


@pytest.fixture
def server(tmp_path: Path, certificate: Certificate) -> Iterator[TlsMongoServer]:
    """A MongoDB behind TLS."""
    server = TlsMongoServer(tmp_path / "mongo", certificate)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def options(
    server: TlsMongoServer, redis_url: str, practice_site: PracticeSite, tmp_path: Path, crawl_name: str
) -> dict[str, Any]:
    """The `pages` spider on one page, storing over TLS."""
    return {
        "folder": tmp_path,
        "arguments": {"crawl": crawl_name, "url": practice_site.url, "follow": "none"},
        "env": {"REDIS_URL": redis_url, "MONGO_URI": f"{server.uri}&tls=true"},
    }


def test_items_are_stored_over_tls(
    server: TlsMongoServer, certificate: Certificate, options: dict[str, Any]
) -> None:
    # Given a MongoDB with a certificate of an authority that the worker is told to trust
    options["env"]["MONGO_URI"] += f"&tlsCAFile={certificate.certificate}"

    # When it crawls
    ended = run_spider("pages", **options)

    # Then its item is there
    assert ended.reason == "finished"
    with pymongo.MongoClient[dict[str, Any]](server.uri) as client:
        assert client["crawlers"]["pages"].count_documents({}) == 1


def test_a_mongodb_that_nobody_vouches_for_gets_nothing_and_the_worker_ends(
    server: TlsMongoServer, options: dict[str, Any]
) -> None:
    # Given a MongoDB with a certificate of an unknown authority, when a worker starts
    options["settings"] = {"MONGO_PATIENCE_S": 1}
    ended = run_spider("pages", **options)
    # Then it says what is wrong and ends
    assert ended.status == 1
    assert "Check tls, tlsCAFile and the host's name in MONGO_URI" in ended.log

    # And has sent nothing
    with pymongo.MongoClient[dict[str, Any]](server.uri) as client:
        assert client["crawlers"]["pages"].count_documents({}) == 0
