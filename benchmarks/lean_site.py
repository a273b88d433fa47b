"""A site of any number of hosts: every address 127.x.y.z on one port, a page for each path.

`python -m benchmarks.lean_site PORT` serves until it is killed. It takes connections from this machine alone,
and closes each after one answer: of thousands of hosts none is asked again before it would have done so.
"""

from __future__ import annotations

import asyncio
import socket
import sys

PAGE_BYTES = 2048
_SO_BINDTODEVICE = 25  # Linux only, which is where 127.x.y.z answers without being set up


def _answer(head: bytes) -> bytes:
    path = head.split(b" ", 2)[1]
    if path == b"/robots.txt":
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    start = b"<!DOCTYPE html><html><head><title>%b</title></head><body><p>" % path
    body = start + b"All work and no play. " * ((PAGE_BYTES - len(start)) // 22) + b"</p></body></html>"
    fields = b"Content-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nConnection: close" % len(body)
    return b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (fields, body)


class _Connection(asyncio.Protocol):
    """One request, one answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" in self._received and not self._transport.is_closing():
            self._transport.write(_answer(self._received))
            self._transport.close()


async def serve(port: int) -> None:
    """Answer on all addresses of the loopback device, for ever."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, b"lo\0")
    listening.bind(("0.0.0.0", port))
    server = await asyncio.get_running_loop().create_server(_Connection, sock=listening, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
