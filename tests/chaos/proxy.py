"""A TCP proxy on loopback that can delay, swallow, cut and answer by itself."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_HOLD_S = 0.01


class Line:
    """One client's connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server

    def cut(self, *, reset: bool = False) -> None:
        """Ends both connections, the client's with a TCP RST if asked."""
        if reset:
            connection: socket.socket = self.client.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.client.transport.abort()
        else:
            self.client.close()
        self.server.transport.abort()


class Honest:
    """Passes everything on; its subclasses don't."""

    async def request(self, chunk: bytes, line: Line) -> None:
        """What the client sent."""
        line.server.write(chunk)

    async def reply(self, chunk: bytes, line: Line) -> None:
        """What the server sent."""
        line.client.write(chunk)


class HoldsBack(Honest):
    """Passes on the first `free` different requests of `proxy`, which are known by their first lines; all
    others wait until it has another manner, whose they are then. So no crawl is over before that.
    """

    def __init__(self, proxy: Proxy, free: int) -> None:
        self.is_full = False
        """Whether any had to wait."""
        self._proxy = proxy
        self._free = free
        self._passed: set[bytes] = set()

    async def request(self, chunk: bytes, line: Line) -> None:
        wanted = chunk.partition(b"\r\n")[0]
        if len(self._passed) < self._free:
            self._passed.add(wanted)
        while wanted not in self._passed and self._proxy.manner is self:
            self.is_full = True
            await asyncio.sleep(_HOLD_S)
        if self._proxy.manner is self:
            await super().request(chunk, line)
        else:
            await self._proxy.manner.request(chunk, line)


class Proxy:
    """Stands at `port` for the server at another; `manner` is what it does, and may change any time."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.manner: Honest = Honest()
        self._target_port = target_port
        self._lines: set[asyncio.Task[None]] = set()

    async def serve(self, port: Future[int], stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port.set_result(server.sockets[0].getsockname()[1])
        await stop.wait()
        server.close()
        for task in self._lines:
            task.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._join(reader, writer))
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            try:
                server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            except OSError:
                writer.close()
                return
            line = Line(writer, server_writer)
            try:
                await asyncio.gather(self._requests(reader, line), self._replies(server_reader, line))
            finally:
                writer.close()
                server_writer.close()

    async def _requests(self, reader: asyncio.StreamReader, line: Line) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                await self.manner.request(chunk, line)
        line.server.close()

    async def _replies(self, reader: asyncio.StreamReader, line: Line) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                await self.manner.reply(chunk, line)
        line.client.close()


@contextmanager
def proxy(target_port: int) -> Iterator[Proxy]:
    """A proxy for the while, in a thread of its own."""
    serving, port, stop = Proxy(target_port), Future[int](), asyncio.Event()
    with asyncio.Runner() as runner:
        thread = threading.Thread(target=runner.run, args=(serving.serve(port, stop),), daemon=True)
        thread.start()
        try:
            serving.port = port.result(timeout=10)
            yield serving
        finally:
            runner.get_loop().call_soon_threadsafe(stop.set)
            thread.join(timeout=10)
