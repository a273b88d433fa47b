"""A line to a server that carries so many bytes a second, and that can stall."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

_CHUNK = 16 * 1024
_BUFFER = 64 * 1024


class SlowLine:
    """Stands at `port` for a server; all connections share `bytes_per_s` towards it. 0: nothing passes."""

    def __init__(self, target_port: int, bytes_per_s: float) -> None:
        self.port = 0
        self.bytes_per_s = bytes_per_s
        self.carried = 0
        self._target_port = target_port
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, port: Future[int], stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        listening = socket.create_server(("127.0.0.1", 0))
        # What the kernel takes off the client's hands has not passed yet.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        server = await asyncio.start_server(self._connected, sock=listening, limit=_BUFFER)
        port.set_result(listening.getsockname()[1])
        await stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            replies = asyncio.create_task(self._carry(server_reader, writer))
            try:
                while chunk := await reader.read(_CHUNK):
                    await self._pass(len(chunk))
                    server_writer.write(chunk)
                    await server_writer.drain()
            finally:
                replies.cancel()
                server_writer.close()
                writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                writer.write(chunk)
        writer.close()

    async def _pass(self, size: int) -> None:
        async with self._turn:
            began_s = time.monotonic()
            while not self.bytes_per_s or time.monotonic() - began_s < size / self.bytes_per_s:
                await asyncio.sleep(0.001)
            self.carried += size


@contextmanager
def slow_line(target_port: int, bytes_per_s: float) -> Iterator[SlowLine]:
    """A slow line for the while, in a thread of its own."""
    port, stop = Future[int](), asyncio.Event()
    line = SlowLine(target_port, bytes_per_s)
    with asyncio.Runner() as runner:
        thread = threading.Thread(target=runner.run, args=(line.serve(port, stop),), daemon=True)
        thread.start()
        try:
            line.port = port.result(timeout=10)
            yield line
        finally:
            runner.get_loop().call_soon_threadsafe(stop.set)
            thread.join(timeout=10)
