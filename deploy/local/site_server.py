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
from pathlib import Path
from typing import TextIO

from .site_answer import Answer, Ending, html
from .site_pages import GraphSite, QuotesSite, make_quotes
from .site_traps import FORBIDDEN, TrapsSite

LOG_PATH = "/__log"
"""Asking for it writes out the log of requests; it is not logged itself."""

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

    def begin(self, host: str, target: str) -> None:
        """Note a request: the moment, its Host header, its target, and how many are open there."""
        self._open[host] += 1
        if self._file is not None:
            ms = round(time.monotonic() * 1000, 3)
            line = {"ms": ms, "host": host, "path": target, "open": self._open[host]}
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
        self._delay_ms = delay_ms
        self._quotes = QuotesSite(make_quotes(quotes))
        self._graph = GraphSite(pages)
        self._traps = TrapsSite()
        self._robots = f"User-agent: *\nDisallow: {FORBIDDEN}\n"
        if crawl_delay_s:
            self._robots += f"Crawl-delay: {crawl_delay_s:g}\n"
        self._kept: dict[str, tuple[bytes, int, Ending]] = {}

    def answer(self, target: str) -> tuple[bytes, int, Ending]:
        """The answer's bytes, the delay before them in ms, and what follows them."""
        if kept := self._kept.get(target):
            return kept
        answer = self._compose(target)
        ready = answer.wire(), answer.delay_ms + self._delay_ms, answer.ending
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
        self._received += data
        if len(self._received) > _MAX_HEAD_BYTES:
            self._refuse(431)
        self._answer_next()

    def _answer_next(self) -> None:
        while self._host is None and not self._transport.is_closing():
            head, separator, rest = self._received.partition(b"\r\n\r\n")
            length = _body_bytes(head) if separator else 0
            if not separator or len(rest) < length:
                return
            self._received = rest[length:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        line, _, fields = head.lower().partition(b"\r\n")
        method, _, target = head[: len(line)].decode("latin-1").rpartition(" ")[0].partition(" ")
        if method not in _METHODS or not target:
            self._refuse(405)
        elif target == LOG_PATH:
            self._site.log.flush()
            self._transport.write(html("flushed").wire())
        else:
            self._answer_page(method, target, fields)

    def _answer_page(self, method: str, target: str, fields: bytes) -> None:
        self._host = _field(fields, b"host")
        self._site.log.begin(self._host, target)
        wire, delay_ms, ending = self._site.answer(target)
        if method == "HEAD":
            wire = wire[: wire.index(b"\r\n\r\n") + 4]
        if ending is Ending.KEEP and _field(fields, b"connection") == "close":
            ending = Ending.CLOSE
        if delay_ms:
            loop = asyncio.get_running_loop()
            loop.call_later(delay_ms / 1000, self._send_late, wire, ending)
        else:
            self._send(wire, ending)

    def _send_late(self, wire: bytes, ending: Ending) -> None:
        if not self._transport.is_closing():
            self._send(wire, ending)
            self._answer_next()

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
