"""A site on loopback that sends the very bytes it is told to: answers that no well-behaved server makes."""

from __future__ import annotations

import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from .processes import LOOPBACK

_MOST_REQUEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """`parts` gives all that is sent, be it without end, with `pause_s` between two of them. `close`: the
    connection is closed behind it; else the next request is awaited.
    """

    parts: Callable[[], Iterable[bytes]]
    close: bool = True
    pause_s: float = 0.0


def plain(body: bytes, status: str = "200 OK", kind: str = "text/html", *headers: str) -> Answer:
    """A proper answer."""
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return Answer(lambda: ["\r\n".join([*head, "", ""]).encode() + body], close=False)


class RawSite:
    """`answers` by path, whatever the query; 404 where there is none. `asked`: how often each was wanted."""

    def __init__(self, answers: Mapping[str, Answer], url: str) -> None:
        self.answers = answers
        self.url = url
        self.asked: Counter[str] = Counter()
        self.open = Counter[str]()
        """Answers under way."""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    site: RawSite


class _Visit(socketserver.StreamRequestHandler):
    """One connection."""

    server: _Server

    def handle(self) -> None:
        """Answers until the client or an answer ends it."""
        with suppress(OSError):
            while path := self._path():
                site = self.server.site
                site.asked[path] += 1
                answer = site.answers.get(path) or plain(b"", "404 Not Found")
                site.open[path] += 1
                try:
                    self._send(answer)
                finally:
                    site.open[path] -= 1
                if answer.close:
                    return

    def _path(self) -> str | None:
        first = self.rfile.readline(_MOST_REQUEST).split(b" ")
        while self.rfile.readline(_MOST_REQUEST).strip():
            pass
        return first[1].decode("latin-1").partition("?")[0] if len(first) == 3 else None

    def _send(self, answer: Answer) -> None:
        for part in answer.parts():
            self.wfile.write(part)
            if answer.pause_s:
                time.sleep(answer.pause_s)


@contextmanager
def raw_site(answers: Mapping[str, Answer], host: str = LOOPBACK) -> Iterator[RawSite]:
    """A :class:`RawSite` for the while, on a free port of a loopback address."""
    with _Server((host, 0), _Visit) as server:
        server.site = RawSite(answers, f"http://{host}:{server.server_address[1]}/")
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        try:
            yield server.site
        finally:
            server.shutdown()
