"""Crawlers of other kinds, each installed in an environment of its own, on the same graph of pages.

None of them waits for a database to acknowledge what it found, nor survives the death of a process without
loss; they are here for what a page costs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from venv import EnvBuilder

from redis import Redis

from benchmarks.graph_crawl import Bench, Crawl
from benchmarks.harness import BenchmarkError, Worker, wait_until
from deploy.local.practice_site import PracticeSite
from deploy.local.servers import DATA

PROGRAMS = Path(__file__).parent
ENVIRONMENTS = DATA / "peers"
_MOST_S = 900


@dataclass(frozen=True, eq=False)
class Peer:
    """`command` makes of its environment's `bin`, the first URL and Redis' the command that crawls.

    `ends`: whether it knows when it is through; else it counts pages in Redis' `items`.
    """

    name: str
    requirements: Sequence[str]
    command: Callable[[Path, str, str], Sequence[str | Path]]
    ends: bool = True

    @property
    def bin(self) -> Path:
        """Where its programs are once it is installed."""
        return ENVIRONMENTS / self.name.split()[0].strip(",").lower() / "bin"

    def install(self) -> None:
        """Make its environment, unless it is there as it should be; BenchmarkError if pip can't."""
        installed = self.bin.parent / "requirements.txt"
        wanted = "\n".join(self.requirements)
        if installed.exists() and installed.read_text() == wanted:
            return
        EnvBuilder(clear=True, with_pip=True).create(self.bin.parent)
        pip = [str(self.bin / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        ended = subprocess.run([*pip, *self.requirements], capture_output=True, text=True)
        if ended.returncode:
            last = (ended.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise BenchmarkError(f"{self.name} can't be installed: {last}")
        installed.write_text(wanted)

    def crawl(self, at: Bench, site: PracticeSite, pages: int) -> Crawl:
        """One crawl of the site's `pages` pages; BenchmarkError if it fetched more or fewer."""
        at.clear()
        visited = len(site.visits())
        with _PeerWorker(self, f"{site.url}graph/0", at) as worker:
            if not self.ends:
                with Redis(port=at.redis_port) as client:
                    wait_until(lambda: _ended(worker, client, pages), _MOST_S, worker.complaint, every_s=0.1)
                worker.signal(signal.SIGTERM)
            crawl = at.finish(worker, site, pages)
        if (fetched := len(site.visits()) - visited) != pages:
            raise BenchmarkError(f"{self.name} fetched {fetched} pages instead of {pages}.")
        return crawl


def _ended(worker: Worker, client: Redis, pages: int) -> bool:
    return worker.poll() is not None or int(client.get("items") or 0) >= pages


class _PeerWorker(Worker):
    """The whole tree of a peer's processes: what its first one has waited for is charged to it."""

    def __init__(self, peer: Peer, url: str, at: Bench) -> None:
        redis_url = f"redis://127.0.0.1:{at.redis_port}/0"
        environ = {**os.environ, "PEER_URL": url, "PEER_REDIS_URL": redis_url, "PYTHONPATH": str(PROGRAMS)}
        super().__init__([], environ, at.folder / "peer.log")
        self.command = [str(word) for word in peer.command(peer.bin, url, redis_url)]


def _celery(bin_: Path, _url: str, _redis_url: str) -> Sequence[str | Path]:
    options = ["--concurrency", "4", "--loglevel", "WARNING"]
    return [bin_ / "python", "-m", "celery", "--app", "celery_tasks", "worker", *options]


CELERY = Peer(
    "Celery, requests, parsel",
    ["celery[redis]==5.7.0", "requests==2.34.2", "parsel==1.12.1"],
    _celery,
    ends=False,
)
CRAWLEE = Peer(
    "crawlee, in memory",
    ["crawlee[parsel]==1.11.0"],
    lambda bin_, url, _redis_url: [bin_ / "python", PROGRAMS / "crawlee_crawl.py", url],
)
AIO_SCRAPY = Peer(
    "aio-scrapy, Redis",
    ["aio-scrapy==2.1.9", "w3lib==2.1.2"],  # it imports names that later ones do not have
    lambda bin_, url, redis_url: [bin_ / "python", PROGRAMS / "aioscrapy_crawl.py", url, redis_url],
)
BARE_LOOP = Peer(
    "aiohttp, lxml, uvloop, a set: no crawler",
    ["aiohttp==3.14.5", "lxml==6.1.3", "uvloop==0.23.0"],
    lambda bin_, url, _redis_url: [bin_ / "python", PROGRAMS / "bare_loop.py", url],
)
PEERS = (CELERY, CRAWLEE, AIO_SCRAPY, BARE_LOOP)


def usable(at: Bench, few: PracticeSite, pages: int) -> list[Peer]:
    """The peers that can be installed and crawl here; a line on stderr about any other."""
    found = []
    for peer in PEERS:
        try:
            peer.install()
            peer.crawl(at, few, pages)
        except BenchmarkError as error:
            print(f"{peer.name} is left out: {error}", file=sys.stderr)
        else:
            found.append(peer)
    return found
