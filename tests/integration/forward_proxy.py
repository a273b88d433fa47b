"""A small HTTP forward proxy on loopback, which can deny itself, die and come back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from deploy.local.processes import LOOPBACK

_DENIED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """What it was asked for, when by the monotonic clock, and with which Proxy-Authorization."""

    at_s: float
    target: str
    authorization: str


class ForwardProxy:
    """Passes requests without a body on; the site sees `via NAME` at the end of their User-Agent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.asked: list[Asked] = []
        self.denies = False
        """Every request is answered with 407."""
        self.swallows = False
        """No request is ever answered."""
        self._lines: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop

    @property
    def exit(self) -> str:
        """Its host and port."""
        return f"{LOOPBACK}:{self.port}"

    def die(self) -> None:
        """Refuses connections and cuts those that are open."""
        self._do(self._stop())

    def revive(self) -> None:
        """Takes connections again, at the same port."""
        self._do(self._start())

    def _do(self, action: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(timeout=10)

    async def serve(self, ready: Future[None], stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        self._loop = asyncio.get_running_loop()
        await self._start()
        ready.set_result(None)
        await stop.wait()
        await self._stop()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._connected, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._lines:
            task.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(reader, writer))
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *headers = head.strip().split("\r\n")
                method, target, _ = line.split(" ")
                fields = dict(header.split(": ", 1) for header in headers)
                self.asked.append(Asked(time.monotonic(), target, fields.pop("Proxy-Authorization", "")))
                if self.swallows:
                    await reader.read()
                elif self.denies or method == "CONNECT":
                    writer.write(_DENIED)
                else:
                    await self._pass_on(method, target, fields, writer)
        finally:
            writer.close()

    async def _pass_on(
        self, method: str, target: str, fields: dict[str, str], writer: asyncio.StreamWriter
    ) -> None:
        url = urlsplit(target)
        site_reader, site_writer = await asyncio.open_connection(url.hostname, url.port)
        fields |= {"Connection": "close", "User-Agent": f"{fields.get('User-Agent')} via {self.name}"}
        lines = [f"{method} {url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        site_writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        try:
            while chunk := await site_reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        finally:
            site_writer.close()


@contextmanager
def forward_proxy(name: str) -> Iterator[ForwardProxy]:
    """A proxy for the while, in a thread of its own."""
    serving, ready, stop = ForwardProxy(name), Future[None](), asyncio.Event()
    with asyncio.Runner() as runner:
        thread = threading.Thread(target=runner.run, args=(serving.serve(ready, stop),), daemon=True)
        thread.start()
        try:
            ready.result(timeout=10)
            yield serving
        finally:
            runner.get_loop().call_soon_threadsafe(stop.set)
            thread.join(timeout=10)
