"""A site that resets, cuts short, sends in circles, refuses, never answers, sends bombs and sets cookies."""

from __future__ import annotations

import gzip
import zlib

from .fault import Fault, Outage, Plan
from .look import page_of
from .proxy import Honest, Line


class _Ill(Honest):
    """A manner that notes to which `pages` it was shown."""

    def __init__(self, pages: set[int]) -> None:
        self._pages = pages

    def note(self, request: bytes) -> str:
        """The path that was asked for."""
        path = request.split(b" ", 2)[1].decode()
        if (page := page_of(path)) is not None:
            self._pages.add(page)
        return path


class _Resets(_Ill):
    async def request(self, chunk: bytes, line: Line) -> None:
        self.note(chunk)
        line.cut(reset=True)


class _CutsShort(_Ill):
    async def request(self, chunk: bytes, line: Line) -> None:
        self.note(chunk)
        line.server.write(chunk)

    async def reply(self, chunk: bytes, line: Line) -> None:
        line.client.write(chunk[: len(chunk) // 2])
        line.cut()


class _SendsInCircles(_Ill):
    """Every address leads on to another of the same page."""

    async def request(self, chunk: bytes, line: Line) -> None:
        path, _, query = self.note(chunk).partition("?round=")
        location = f"{path}?round={int(query or 0) + 1}"
        head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        line.client.write(head.encode())


class _Refuses(_Ill):
    async def request(self, chunk: bytes, line: Line) -> None:
        self.note(chunk)
        line.client.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


class _IsSilent(_Ill):
    async def request(self, chunk: bytes, line: Line) -> None:  # noqa: ARG002
        self.note(chunk)


def _zipped(body: bytes) -> bytes:
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    )
    return head % len(body) + body


def _bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(wbits=31)
    zeros = bytes(1_000_000)
    return b"".join([*(packer.compress(zeros) for _ in range(megabytes)), packer.flush()])


_BOMB = _zipped(_bomb(200))
_DAMAGED = _zipped(gzip.compress(b"<a href=/graph/1>1</a>" * 500)[:-20])


class _SendsBombs(_Ill):
    """A fifth of a megabyte that decodes to two hundred, in the place of every tenth page."""

    async def request(self, chunk: bytes, line: Line) -> None:
        page = page_of(chunk.split(b" ", 2)[1].decode())
        if page is None or page % 10:
            line.server.write(chunk)
        else:
            self.note(chunk)
            line.client.write(_BOMB)


class _Damages(_Ill):
    async def request(self, chunk: bytes, line: Line) -> None:
        self.note(chunk)
        line.client.write(_DAMAGED)


class _SetsCookies(_Ill):
    async def request(self, chunk: bytes, line: Line) -> None:
        self.note(chunk)
        line.server.write(chunk)

    async def reply(self, chunk: bytes, line: Line) -> None:
        if chunk.startswith(b"HTTP/1.1 200"):
            status, end, rest = chunk.partition(b"\r\n")
            cookie = b"Set-Cookie: page%d=%d; Path=/\r\n" % (len(self._pages) % 7, len(self._pages))
            chunk = status + end + cookie + rest
        line.client.write(chunk)


class SiteResets(Outage):
    """Connections end by a TCP RST instead of an answer."""

    name = "site resets connections"
    target = "site"
    death_reason = "download failed"
    tracebacks = "Error downloading"
    manner: type[_Ill] = _Resets

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        plan.site_proxy = True

    def inject(self) -> None:
        assert self.run.site_proxy is not None
        self.run.site_proxy.manner = self.manner(self.pages)

    def end(self) -> None:
        assert self.run.site_proxy is not None
        self.run.site_proxy.manner = Honest()

    def is_over(self, elapsed_s: float) -> bool:
        return super().is_over(elapsed_s) and (bool(self.pages) or self.run.is_finished())

    def problems(self) -> list[str]:
        alone = len(self.run.faults) == 1
        return [f"no page was met by {self.name}"] if alone and not self.pages else []


class SiteCutsShort(SiteResets):
    """Bodies end before their Content-Length."""

    name = "site truncates bodies"
    manner = _CutsShort


class SiteIsSilent(SiteResets):
    """Requests are taken and never answered."""

    name = "site never answers"
    manner = _IsSilent

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        plan.settings["DOWNLOAD_TIMEOUT"] = 1


class SiteSendsInCircles(SiteResets):
    """Redirects without an end, of which Scrapy follows 20."""

    name = "site redirects endlessly"
    manner = _SendsInCircles


class SiteRefuses(SiteResets):
    """503 for a while, which is not to be taken for a page."""

    name = "site answers 503"
    manner = _Refuses


class SiteSendsBombs(SiteResets):
    """Bodies that would fill memory once decoded: their pages are dead, and say by which limit."""

    name = "site sends bombs"
    death_reason = "download failed AnswerTooLarge"
    manner = _SendsBombs


class SiteDamages(SiteResets):
    """Compressed bodies that are cut, which are not to be taken for pages."""

    name = "site damages compressed bodies"
    manner = _Damages


class SiteSetsCookies(SiteResets):
    """A cookie with each page, so that all workers share them all the time."""

    name = "site sets cookies"
    death_reason = ""
    manner = _SetsCookies


SITE_FAULTS: tuple[type[Fault], ...] = (
    *(SiteResets, SiteCutsShort, SiteSendsInCircles, SiteRefuses, SiteIsSilent),
    *(SiteSendsBombs, SiteDamages, SiteSetsCookies),
)
