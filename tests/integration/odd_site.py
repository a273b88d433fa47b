"""A small site of a test's own, whose answers depend on cookies and on how often a path was asked for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Headers = list[tuple[str, str]]
Reply = tuple[int, Headers, bytes]
Answering = Callable[[str, str, int], Reply]
"""Path with query, value of `Cookie`, how often the path was asked before -> status, headers, body."""


@dataclass
class OddSite:
    """`url` of the site, without a slash; `asked`: how often each path was."""

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)


@contextmanager
def odd_site(answering: Answering) -> Iterator[OddSite]:
    """The site on loopback for the while."""
    site = OddSite()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            before = site.asked[self.path]
            site.asked[self.path] += 1
            status, headers, body = answering(self.path, self.headers.get("Cookie", ""), before)
            if self.path == "/robots.txt":
                status, headers, body = 404, [], b""
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value.encode().decode("latin-1"))  # UTF-8 on the wire
            if "Content-Type" not in dict(headers):
                self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
