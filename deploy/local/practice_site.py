"""A web site to crawl at will: quotes at `/`, a page graph at `/graph/`, traps at `/traps/`.

`python -m deploy.local.practice_site` runs it until Ctrl-C; its first line is its address.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .binaries import ServerError, describe_exit
from .processes import LOOPBACK, Process, free_port
from .site_pages import MAX_QUOTES, graph_links
from .site_server import LOG_PATH, Connection, RequestLog, Site

__all__ = ["PracticeSite", "Visit", "graph_links", "practice_site"]

_START_TIMEOUT_S = 30
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as the site saw it begin.

    `ms` is the machine's monotonic clock, `open` how many requests to `host` were then open.
    """

    ms: float
    host: str
    path: str
    open: int


class PracticeSite:
    """A practice site in a process of its own."""

    def __init__(self, process: Process, url: str, visits: Path) -> None:
        self.process = process
        self.url = url
        self._visits = visits

    def visits(self) -> list[Visit]:
        """Every request so far, in the order of their beginnings."""
        urllib.request.urlopen(self.url.rstrip("/") + LOG_PATH, timeout=10).close()
        lines = self._visits.read_text(encoding="utf-8").splitlines()
        return [Visit(**json.loads(line)) for line in lines]


@contextmanager
def practice_site(
    folder: Path,
    *,
    quotes: int = 100,
    pages: int = 1000,
    delay_ms: int = 0,
    crawl_delay_s: float = 0,
    hosts: Sequence[str] = (LOOPBACK,),
    port: int = 0,
) -> Iterator[PracticeSite]:
    """A practice site for the while, its logs in `folder`; the options are those of the command.

    All `hosts` are served on the one port (0: a free one); `url` has the first of them.
    """
    visits = folder / "visits.jsonl"
    visits.unlink(missing_ok=True)
    options = {
        "port": port,
        "quotes": quotes,
        "pages": pages,
        "delay-ms": delay_ms,
        "crawl-delay-s": crawl_delay_s,
        "log": visits,
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    addresses = [word for host in hosts for word in ("--host", host)]
    command = [sys.executable, "-m", "deploy.local.practice_site", *arguments, *addresses]
    process = Process(command, folder / "site.log", cwd=Path(__file__).parents[2])
    try:
        process.start()
        yield PracticeSite(process, _first_line(process), visits)
    finally:
        process.stop()


def _first_line(process: Process) -> str:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.running and time.monotonic() < deadline:
        line, newline, _ = process.output().partition("\n")
        if newline and line.startswith("http://"):
            return line
        time.sleep(_POLL_S)
    status = process.exit_status
    why = "was not ready in time" if status is None else f"ended with {describe_exit(status)}"
    last_line = (process.output().strip().splitlines() or ["it wrote nothing"])[-1]
    raise ServerError(f"The practice site {why}: {last_line}")


async def _serve(site: Site, hosts: Sequence[str], port: int) -> None:
    """Answer on all hosts until SIGINT or SIGTERM; OSError if the port is taken."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(lambda: Connection(site), hosts, port, backlog=1024)
    print(f"http://{hosts[0]}:{port}/", flush=True)
    await stopped.wait()
    server.close()


def _loopback(host: str) -> str:
    try:
        if ipaddress.ip_address(host).is_loopback:
            return host
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{host} is not a loopback address such as 127.0.0.2")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0")
    return int(text)


def _quotes(text: str) -> int:
    if not 1 <= _count(text) <= MAX_QUOTES:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and {MAX_QUOTES}")
    return int(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.practice_site")
    add = parser.add_argument
    add("--host", type=_loopback, action="append", help="a loopback address; may come repeatedly")
    add("--port", type=_count, default=0, help="0: a free one")
    add("--quotes", type=_quotes, default=100, help="how many quotes / shows, ten a page")
    add("--pages", type=_count, default=1000, help="how many pages /graph/ has")
    add("--delay-ms", type=_count, default=0, help="wait so long before every answer")
    add("--crawl-delay-s", type=float, default=0, help="Crawl-delay in robots.txt, 0: none")
    add("--log", type=Path, help="write a line of JSON for each request to this file")
    return parser.parse_args()


def main() -> int:
    """Serve until Ctrl-C; returns the exit status."""
    options = _options()
    port = options.port or free_port()
    log = RequestLog(options.log)
    site = Site(
        quotes=options.quotes,
        pages=options.pages,
        delay_ms=options.delay_ms,
        crawl_delay_s=options.crawl_delay_s,
        log=log,
    )
    try:
        asyncio.run(_serve(site, options.host or [LOOPBACK], port))
    except OSError as error:
        print(f"Port {port} cannot be used ({error.strerror}): choose another.", file=sys.stderr)
        return 1
    finally:
        log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
