"""Downloads by Twisted, with limits for what comes before a body and around it."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from scrapy.core.downloader.handlers.http11 import (
    HTTP11DownloadHandler,
    _LenientHTTP11ClientFactory,
    _LenientHTTP11ClientProtocol,
    _LenientHTTPClientParser,
)
from scrapy.exceptions import DownloadCancelledError, DownloadFailedError, ResponseDataLossError

from crawlers.scheduler.limits import AnswerTooLarge, Limits

from .memory import SMALL, Memory, Share

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IAddress
    from twisted.web._newclient import HTTP11ClientProtocol
    from twisted.web._newclient import Request as TxRequest
    from twisted.web.iweb import IResponse


class Handler(HTTP11DownloadHandler):
    """Scrapy's, which knows a limit for bodies only, and no reason for having stopped one."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._limits = Limits.of(crawler.settings)
        memory = Memory.of(crawler, self._limits.held)
        self._pool._factory = partial(_Factory, self._limits, memory)  # type: ignore[assignment]

    async def download_request(self, request: Request) -> Response:
        """The answer to `request`. Raises :class:`AnswerTooLarge` and Scrapy's own exceptions."""
        try:
            return await super().download_request(request)
        except (DownloadFailedError, ResponseDataLossError) as error:
            if too_large := too_large_in(error):
                raise too_large from None
            if str(error):
                raise
            raise type(error)(_why(error.__cause__)) from error
        except DownloadCancelledError as error:  # without a text, where the size wasn't announced
            most = request.meta.get("download_maxsize", self._limits.body)
            raise AnswerTooLarge(f"a body of more than DOWNLOAD_MAXSIZE ({most} bytes)") from error


def too_large_in(error: BaseException | None) -> AnswerTooLarge | None:
    """The one that made a library raise `error`, if any."""
    while error is not None and not isinstance(error, AnswerTooLarge):
        inner = [reason.value for reason in getattr(error, "reasons", ())]
        found = next((each for each in inner if isinstance(each, AnswerTooLarge)), None)
        error = found or error.__cause__
    return error


def _why(error: BaseException | None) -> str:
    """What Twisted's failure consists of, which by itself says nothing."""
    reasons = [reason.value for reason in getattr(error, "reasons", ())] or [error]
    return "; ".join(f"{type(each).__name__} {each}".strip() for each in reasons)


class _Parser(_LenientHTTPClientParser):
    """Counts what it hears. Its attributes are set by :meth:`limit`, for Scrapy puts the class in place of
    another's.
    """

    def limit(self, limits: Limits, memory: Memory) -> None:
        """To be called before anything has come."""
        self._limits, self._memory = limits, memory
        self.MAX_LENGTH = limits.header_bytes or sys.maxsize
        self._head_bytes = self._head_lines = self._raw_bytes = self._body_bytes = 0
        self._share: Share | None = None
        self._deliver: Callable[[bytes], Any]

    def lineReceived(self, line: bytes) -> None:
        """A line of the headers. Those of 1xx answers, which start over, count as well."""
        self._head_bytes += len(line) + 1
        self._head_lines += 1
        self._limits.check_head(self._head_bytes, self._head_lines)
        super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line without an end."""
        self._limits.check_head(self._head_bytes + len(line), self._head_lines)

    def switchToBodyMode(self, decoder: Any) -> None:
        """The headers are over."""
        self._deliver, decoder.dataCallback = decoder.dataCallback, self._body
        super().switchToBodyMode(decoder)  # type: ignore[no-untyped-call]

    def rawDataReceived(self, data: bytes) -> None:
        """Some of the body, in its chunks."""
        self._raw_bytes += len(data)
        try:
            super().rawDataReceived(data)  # type: ignore[no-untyped-call]
        finally:  # Twisted has limits too, which it calls malformed
            self._check_framing()

    def _check_framing(self) -> None:
        self._limits.check_framing(self._raw_bytes - self._body_bytes, self._body_bytes)

    def _body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > SMALL:
            self._hold(len(data))
        self._deliver(data)

    def _hold(self, size: int) -> None:
        if self._share is None:
            self._share = self._memory.share()
            size = self._body_bytes
        if not self._share.grow(size):
            connection: Any = self.transport
            self._share.resume = connection.resumeProducing
            connection.pauseProducing()

    def _finished(self, rest: bytes) -> None:
        """The answer is complete. What follows it is none, and its connection can't be trusted with another
        request (RFC 9112, 6.3 and 9.2).
        """
        if rest:
            self.connHeaders.addRawHeader(b"connection", b"close")
        super()._finished(rest)  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Any = None) -> None:
        """The end of the answer, whatever it was."""
        if self._share is not None:
            self._share.release()
        super().connectionLost(reason)


class _Protocol(_LenientHTTP11ClientProtocol):
    """A connection."""

    def __init__(self, limits: Limits, memory: Memory, quiescent: Callable[..., Any]) -> None:
        super().__init__(quiescent)  # type: ignore[no-untyped-call]
        self._limits, self._memory = limits, memory

    def request(self, request: TxRequest) -> Deferred[IResponse]:
        """Sends `request`, and sees that the answer is listened to within limits."""
        answer = super().request(request)
        parser: Any = self._parser
        parser.__class__ = _Parser
        parser.limit(self._limits, self._memory)
        return answer


class _Factory(_LenientHTTP11ClientFactory):
    """Makes connections."""

    def __init__(self, limits: Limits, memory: Memory, quiescent: Callable[..., Any], metadata: str) -> None:
        super().__init__(quiescent, metadata)  # type: ignore[no-untyped-call]
        self._limits, self._memory = limits, memory

    def buildProtocol(self, addr: IAddress | None) -> HTTP11ClientProtocol:  # noqa: ARG002
        """One connection."""
        return _Protocol(self._limits, self._memory, self._quiescentCallback)
