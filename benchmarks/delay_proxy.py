"""A TCP proxy on loopback that adds time to both ways and takes away no throughput."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress


@contextmanager
def delayed(target_port: int, round_trip_ms: float) -> Iterator[int]:
    """Serve on a free loopback port what `target_port` serves, `round_trip_ms` later; the port.

    0 adds no delay, only the proxy itself: the fair thing to compare a delay with.
    """
    port: Future[int] = Future()
    stop = asyncio.Event()

    async def serve() -> None:
        one_way_s = round_trip_ms / 2000
        server = await asyncio.start_server(
            lambda reader, writer: _join(reader, writer, target_port, one_way_s), "127.0.0.1", 0
        )
        port.set_result(server.sockets[0].getsockname()[1])
        async with server:
            await stop.wait()

    # select() waits to the microsecond, epoll rounds every wait up to the next millisecond.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        running = threading.Thread(target=runner.run, args=(serve(),), daemon=True)
        running.start()
        try:
            yield port.result(timeout=10)
        finally:
            runner.get_loop().call_soon_threadsafe(stop.set)
            running.join(timeout=10)


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    target_port: int,
    one_way_s: float,
) -> None:
    """Carry one client's connection to the target and back, until an end closes or all ends."""
    # asyncio logs a cancelled connection callback as an error; here it is how the proxy stops.
    with suppress(asyncio.CancelledError):
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", target_port)
        await asyncio.gather(
            _carry(reader, target_writer, one_way_s),
            _carry(target_reader, writer, one_way_s),
        )


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, one_way_s: float) -> None:
    """Carry one way: every chunk leaves `one_way_s` after it came, however many are on the way."""
    now_s = asyncio.get_running_loop().time
    held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def release() -> None:
        while True:
            due_s, chunk = await held.get()
            await asyncio.sleep(due_s - now_s())
            if not chunk:
                writer.close()
                return
            writer.write(chunk)

    releasing = asyncio.create_task(release())
    with suppress(ConnectionError):
        while chunk := await reader.read(65536):
            held.put_nowait((now_s() + one_way_s, chunk))
    held.put_nowait((now_s() + one_way_s, b""))
    await releasing
