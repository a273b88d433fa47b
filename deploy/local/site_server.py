"""The practice site's HTTP/1.1 server: ready-made bytes over asyncio's bare protocol.

It answers several thousand pages a second on one core, so that it is never what a crawl waits for.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from .site_answer import Answer, Ending, Ready, html
from .site_behaviour import Behaviours, behaviour_of
from .site_pages import GraphSite, QuotesSite, make_quotes
from .site_traps import FORBIDDEN, TrapsSite

LOG_PATH = "/__log"
"""Asking for it writes out the log of requests; it is not logged itself."""

TELL_PATH = "/__tell"
"""Asking for it with a query tells a host how to behave, see `behaviour_of`; 400 says what is wrong."""

_MAX_HEAD_BYTES = 65_536
# All but HEAD are answered as GET is; a body is read and ignored.
_METHODS = ("GET", "HEAD", "POST", "PUT")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class RequestLog:
    """One line of JSON for each request at its start, gathered in memory until `flush`."""

    def __init__(self, path: Path | None) -> None:
        """Write to `path`; None keeps no log."""
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None
        self._open: Counter[str] = Counter()

    def begin(self, arrived_s: float, host: str, target: str, agent: str, status: int) -> None:
        """Note a request: `time.monotonic` at its arrival, its Host, target, User-Agent, and answer."""
        self._open[host] += 1
        if self._file is not None:
            ms, is_open = round(arrived_s * 1000, 3), self._open[host]
            line = {"ms": ms, "host": host, "path": target, "agent": agent, "open": is_open, "status": status}
            self._file.write(json.dumps(line) + "\n")

    def end(self, host: str) -> None:
        """A request to this host is answered, or its client has gone."""
        self._open[host] -= 1

    def flush(self) -> None:
        """Make all lines so far readable in the file."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Write out the rest."""
        if self._file is not None:
            self._file.close()


class Site:
    """All pages by request target, kept as bytes once they were asked for."""

    def __init__(
        self, *, quotes: int, pages: int, delay_ms: int, crawl_delay_s: float, log: RequestLog
    ) -> None:
        """`delay_ms` is waited before every answer, 0 not; `crawl_delay_s` 0 asks for none."""
        self.log = log
        self.behaviours = Behaviours()
        self._delay_ms = delay_ms
        self._quotes = QuotesSite(make_quotes(quotes))
        self._graph = GraphSite(pages)
        self._traps = TrapsSite()
        self._robots = f"User-agent: *\nDisallow: {FORBIDDEN}\n"
        if crawl_delay_s:
            self._robots += f"Crawl-delay: {crawl_delay_s:g}\n"
        self._kept: dict[str, Ready] = {}

    def answer(self, host: str, target: str) -> Ready:
        """What `host`, as in a Host header, answers to a request."""
        own, latency_ms = self.behaviours.answer(host, target.partition("?")[0])
        if own:
            return Ready.of(own, self._delay_ms + latency_ms)
        ready = self._answer_well(target)
        return replace(ready, delay_ms=ready.delay_ms + latency_ms) if latency_ms else ready

    def _answer_well(self, target: str) -> Ready:
        if kept := self._kept.get(target):
            return kept
        ready = Ready.of(self._compose(target), self._delay_ms)
        if not target.startswith("/traps/"):
            self._kept[target] = ready
        return ready

    def _compose(self, target: str) -> Answer:
        if target.startswith("/traps/"):
            return self._traps.answer(target)
        path = target.partition("?")[0]
        if path == "/robots.txt":
            return Answer(body=self._robots.encode(), content_type="text/plain")
        return (self._graph if path.startswith("/graph/") else self._quotes).answer(path)


class Connection(asyncio.Protocol):
    """One keep-alive connection; pipelined requests are answered in turn."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._received = b""
        self._host: str | None = None
        """The host of the request under way, None between requests."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call at the start."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        """Asyncio's call at the end; a request that is under way is no longer."""
        self._end_request()

    def data_received(self, data: bytes) -> None:
        """Asyncio's call with the next bytes, which may hold a part of a request or several."""
        arrived_s = time.monotonic()
        self._received += data
        if len(self._received) > _MAX_HEAD_BYTES:
            self._refuse(431)
        self._answer_next(arrived_s)

    def _answer_next(self, arrived_s: float) -> None:
        while self._host is None and not self._transport.is_closing():
            head, separator, rest = self._received.partition(b"\r\n\r\n")
            length = _body_bytes(head) if separator else 0
            if not separator or len(rest) < length:
                return
            self._received = rest[length:]
            self._answer(arrived_s, head)

    def _answer(self, arrived_s: float, head: bytes) -> None:
        line, _, fields = head.lower().partition(b"\r\n")
        method, _, target = head[: len(line)].decode("latin-1").rpartition(" ")[0].partition(" ")
        if method not in _METHODS or not target:
            self._refuse(405)
        elif target == LOG_PATH:
            self._site.log.flush()
            self._transport.write(html("flushed").wire())
        elif target.startswith(TELL_PATH):
            self._transport.write(self._tell(target.partition("?")[2]).wire())
        else:
            self._answer_page(arrived_s, method, target, fields)

    def _tell(self, query: str) -> Answer:
        try:
            self._site.behaviours.tell(*behaviour_of(query))
        except ValueError as error:
            return Answer(status=400, body=str(error).encode(), content_type="text/plain")
        return html("told")

    def _answer_page(self, arrived_s: float, method: str, target: str, fields: bytes) -> None:
        self._host = _field(fields, b"host")
        ready = self._site.answer(self._host, target)
        agent = _field(fields, b"user-agent")
        self._site.log.begin(arrived_s, self._host, target, agent, ready.status)
        wire, ending = ready.wire, ready.ending
        if method == "HEAD":
            wire = wire[: wire.index(b"\r\n\r\n") + 4]
        if ending is Ending.KEEP and _field(fields, b"connection") == "close":
            ending = Ending.CLOSE
        if ready.delay_ms:
            loop = asyncio.get_running_loop()
            loop.call_later(ready.delay_ms / 1000, self._send_late, wire, ending)
        else:
            self._send(wire, ending)

    def _send_late(self, wire: bytes, ending: Ending) -> None:
        if not self._transport.is_closing():
            self._send(wire, ending)
            self._answer_next(time.monotonic())

    def _send(self, wire: bytes, ending: Ending) -> None:
        if ending is Ending.SILENCE:
            return
        if ending is Ending.RESET:
            connection: socket.socket = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
            return
        self._transport.write(wire)
        self._end_request()
        if ending is Ending.CLOSE:
            self._transport.close()

    def _refuse(self, status: int) -> None:
        self._transport.write(Answer(status=status, ending=Ending.CLOSE).wire())
        self._transport.close()

    def _end_request(self) -> None:
        if self._host is not None:
            self._site.log.end(self._host)
            self._host = None


def _body_bytes(head: bytes) -> int:
    length = _field(head.lower(), b"content-length")
    return int(length) if length.isdecimal() else 0


def _field(fields: bytes, name: bytes) -> str:
    """The value of a header field in lower-case fields, empty if it is not there."""
    _, _, rest = (b"\r\n" + fields).partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip().decode("latin-1")
