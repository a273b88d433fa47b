"""No crawler at all: aiohttp, lxml, uvloop and a set, the least Python takes: `python bare_loop.py URL`."""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import urljoin

import aiohttp
import lxml.html
import uvloop

AT_ONCE = 32


async def main(url: str) -> None:
    """Fetches all that can be reached, and makes an item of each page."""
    seen, queue = {url}, asyncio.Queue[str]()
    queue.put_nowait(url)

    async def work(session: aiohttp.ClientSession) -> None:
        while True:
            at = await queue.get()
            async with session.get(at) as response:
                body = await response.read()
            _item = {"_id": at, "bytes": len(body)}
            for href in lxml.html.fromstring(body).xpath("//a/@href"):
                link = urljoin(at, href)
                if link not in seen:
                    seen.add(link)
                    queue.put_nowait(link)
            queue.task_done()

    async with aiohttp.ClientSession() as session:
        workers = [asyncio.create_task(work(session)) for _ in range(AT_ONCE)]
        await queue.join()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


uvloop.run(main(sys.argv[1]))
