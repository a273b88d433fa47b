"""A web site to crawl at will: quotes at `/`, a page graph at `/graph/`, traps at `/traps/`.

`python -m deploy.local.practice_site` runs it until Ctrl-C; its first line is its address. Hosts
are told apart by their Host header, and each may be told how to behave: at start, and amid a crawl.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .binaries import ServerError, describe_exit
from .processes import LOOPBACK, Process, free_port
from .site_behaviour import NEVER, Behaviour, behaviour_of
from .site_pages import MAX_QUOTES, graph_links
from .site_server import LOG_PATH, TELL_PATH, Connection, RequestLog, Site

__all__ = ["NEVER", "Behaviour", "PracticeSite", "Visit", "graph_links", "practice_site"]

_START_TIMEOUT_S = 30
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as the site saw it begin.

    `ms` is the machine's monotonic clock, `agent` the User-Agent in lower case, `open` how many
    requests to `host` were then open, this one included, `status` that of its answer; 0: none.
    """

    ms: float
    host: str
    path: str
    agent: str
    open: int
    status: int


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

    def tell(self, host: str, behaviour: Behaviour) -> None:
        """From now on `host`, such as 127.0.0.2, behaves so; ValueError for what can't be."""
        query = behaviour.query(host)
        try:
            urllib.request.urlopen(f"{self.url.rstrip('/')}{TELL_PATH}?{query}", timeout=10).close()
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise ValueError(refusal.read().decode()) from None


@contextmanager
def practice_site(
    folder: Path,
    *,
    quotes: int = 100,
    pages: int = 1000,
    delay_ms: int = 0,
    crawl_delay_s: float = 0,
    hosts: Sequence[str] = (LOOPBACK,),
    behaviours: Mapping[str, Behaviour] | None = None,
    port: int = 0,
) -> Iterator[PracticeSite]:
    """A practice site for the while, its logs in `folder`; the options are those of the command.

    All `hosts` are served on the one port (0: a free one); `url` has the first of them.
    `behaviours` has those of hosts that don't behave well.
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
    told = (behaviour.query(host) for host, behaviour in (behaviours or {}).items())
    addresses += [word for query in told for word in ("--tell", query)]
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


def _told(text: str) -> tuple[str, Behaviour]:
    try:
        return behaviour_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.practice_site")
    add = parser.add_argument
    add("--host", type=_loopback, action="append", help="a loopback address; may come repeatedly")
    add("--port", type=_count, default=0, help="0: a free one")
    add("--quotes", type=_quotes, default=100, help="how many quotes / shows, ten a page")
    add("--pages", type=_count, default=1000, help="how many pages /graph/ has")
    add("--delay-ms", type=_count, default=0, help="wait so long before every answer")
    add("--crawl-delay-s", type=float, default=0, help="Crawl-delay in robots.txt, 0: none")
    behaviour = (
        "how a host behaves, as in 'host=127.0.0.2&status=429&retry_after=3&for_s=9'; may come repeatedly"
    )
    add("--tell", type=_told, action="append", default=[], metavar="QUERY", help=behaviour)
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
    for host, behaviour in options.tell:
        site.behaviours.tell(host, behaviour)
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
