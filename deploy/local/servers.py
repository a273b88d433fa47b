"""Real Redis and MongoDB servers on loopback, for tests and first steps; never for production.

`python -m deploy.local.servers` runs both until Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pymongo
import pymongo.errors
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .binaries import ServerError, mongod_program, redis_program
from .loopback_server import LoopbackServer
from .processes import LOOPBACK

DATA = Path(__file__).parents[2] / ".data"
"""What local servers keep; ignored by git, and `make clean` deletes it."""

_REPLICA_SET = "rs0"
_NOT_YET_INITIALIZED = 94


class RedisServer(LoopbackServer):
    """A Redis or Valkey server; with `appendonly` it keeps every write through `kill -9`."""

    name = "Redis"

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        *,
        appendonly: bool = True,
        appendfsync: str = "everysec",
        maxmemory: str = "0",
    ) -> None:
        """Options as in redis.conf; `maxmemory` such as "20mb", "0" for no limit.

        A full server refuses writes (`noeviction`), for a frontier must not forget.
        """
        super().__init__(redis_program(), folder, port)
        self._options = {
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": appendfsync,
            "maxmemory": maxmemory,
            "maxmemory-policy": "noeviction",
            "save": "",
        }

    @property
    def url(self) -> str:
        """Its address as `REDIS_URL` takes it."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def _arguments(self) -> list[str]:
        address = {"bind": LOOPBACK, "port": str(self.port), "dir": str(self.folder.resolve())}
        options = {**address, **self._options}
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _takes_writes(self) -> bool:
        no_retry = Retry(NoBackoff(), 0)
        with redis.Redis(LOOPBACK, self.port, socket_timeout=1, retry=no_retry) as client:
            client.ping()
            info = client.info("server")
        return bool(info["process_id"] == self.pid)


class MongoServer(LoopbackServer):
    """A mongod that is a replica set of one, so that transactions and `w=majority` work."""

    name = "MongoDB"

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(mongod_program(), folder, port)

    @property
    def uri(self) -> str:
        """Its address as `MONGO_URI` takes it."""
        return f"mongodb://{LOOPBACK}:{self.port}/?replicaSet={_REPLICA_SET}"

    def _arguments(self) -> list[str]:
        address = ["--bind_ip", LOOPBACK, "--port", str(self.port), "--nounixsocket"]
        small = ["--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25"]
        quiet = ["--quiet", "--networkMessageCompressors", "disabled"]
        parameters = [
            "diagnosticDataCollectionEnabled=false",
            # A signalled shutdown otherwise lingers for clients to move to another member.
            "shutdownTimeoutMillisForSignaledShutdown=0",
        ]
        settings = [word for setting in parameters for word in ("--setParameter", setting)]
        data = ["--dbpath", str(self.folder.resolve()), "--replSet", _REPLICA_SET]
        return [*address, *small, *quiet, *settings, *data]

    def _takes_writes(self) -> bool:
        with pymongo.MongoClient[dict[str, object]](
            LOOPBACK, self.port, directConnection=True, serverSelectionTimeoutMS=1000
        ) as client:
            if client.admin.command("serverStatus")["pid"] != self.pid:
                return False
            self._form_replica_set(client)
            return bool(client.admin.command("hello")["isWritablePrimary"])

    def _form_replica_set(self, client: pymongo.MongoClient[dict[str, object]]) -> None:
        """Make the server the only member of its set, also if its data know it by another port."""
        address = f"{LOOPBACK}:{self.port}"
        config = {"_id": _REPLICA_SET, "members": [{"_id": 0, "host": address}]}
        try:
            current = client.admin.command("replSetGetConfig")["config"]
        except pymongo.errors.OperationFailure as error:
            if error.code != _NOT_YET_INITIALIZED:
                raise
            client.admin.command("replSetInitiate", config)
            return
        if current["members"][0]["host"] != address:
            current["members"][0]["host"] = address
            client.admin.command("replSetReconfig", current, force=True)


@contextmanager
def redis_server(
    folder: Path,
    port: int = 0,
    *,
    appendonly: bool = True,
    appendfsync: str = "everysec",
    maxmemory: str = "0",
) -> Iterator[RedisServer]:
    """A running Redis with its data in `folder`, stopped at the end; options of `RedisServer`."""
    server = RedisServer(folder, port, appendonly=appendonly, appendfsync=appendfsync, maxmemory=maxmemory)
    with _running(server):
        yield server


@contextmanager
def mongo_server(folder: Path, port: int = 0) -> Iterator[MongoServer]:
    """A running MongoDB with its data in `folder`, stopped at the end."""
    server = MongoServer(folder, port)
    with _running(server):
        yield server


@contextmanager
def _running(server: LoopbackServer) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.stop()


@contextmanager
def redis_url(folder: Path, port: int = 0) -> Iterator[str]:
    """The address in `REDIS_URL`, or else that of a Redis started for the while."""
    if yours := os.environ.get("REDIS_URL"):
        yield yours
    else:
        with redis_server(folder, port) as server:
            yield server.url


@contextmanager
def mongo_uri(folder: Path, port: int = 0) -> Iterator[str]:
    """The address in `MONGO_URI`, or else that of a MongoDB started for the while."""
    if yours := os.environ.get("MONGO_URI"):
        yield yours
    else:
        with mongo_server(folder, port) as server:
            yield server.uri


def stop_on_signals() -> None:
    """Let SIGTERM end this program as Ctrl-C does, so that its servers stop in good order.

    Ctrl-C itself too: a shell starts what it runs in the background with SIGINT ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def main() -> int:
    """Run both servers in the foreground until Ctrl-C; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.servers", description=__doc__)
    parser.add_argument("--redis-port", type=int, default=6379, help="0: a free one")
    parser.add_argument("--mongo-port", type=int, default=27017, help="0: a free one")
    parser.add_argument("--data", type=Path, default=DATA, help="where they keep their data")
    options = parser.parse_args()
    stop_on_signals()
    try:
        with ExitStack() as stack:
            url = stack.enter_context(redis_url(options.data / "redis", options.redis_port))
            uri = stack.enter_context(mongo_uri(options.data / "mongo", options.mongo_port))
            print(f"export REDIS_URL='{url}'\nexport MONGO_URI='{uri}'")
            print("Both servers run until Ctrl-C.", flush=True)
            signal.pause()
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nBoth servers have stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
