"""Bodies decoded within their limits, without holding up the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any

from scrapy import Request
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.exceptions import ResponseDataLossError
from scrapy.http import TextResponse
from scrapy.responsetypes import responsetypes

from crawlers.scheduler.limits import CUT, AnswerTooLarge, Limits

from .coding import MOST_CODINGS, Undecodable, decoded
from .memory import Memory

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.http import Response

logger = logging.getLogger(__name__)

_STEP = 256 * 1024  # decoded bytes at a time: some 1 ms of a core
# A body that was stopped or cut on its way isn't expected to be whole.
_IN_PART = {"download_stopped", "dataloss", "partial"}


class HttpCompression(HttpCompressionMiddleware):
    """Scrapy's middleware, which decodes in pieces: beyond the first in a thread, and no further than
    `DOWNLOAD_MAXSIZE` and `DOWNLOAD_MAX_RATIO` allow.

    A body that can't be decoded was damaged on its way, or cut: it is retried like any other loss of data,
    unless `DOWNLOAD_FAIL_ON_DATALOSS` is off. One that is too large fails with a reason that says so, where
    Scrapy's drops it silently.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler=crawler)
        self._crawler = crawler
        self._one_at_a_time = asyncio.Lock()
        self._fails = crawler.settings.getbool("DOWNLOAD_FAIL_ON_DATALOSS")

    @cached_property
    def _limits(self) -> Limits:
        """Read when first needed: by then the scheduler has refused what can't be used."""
        return Limits.of(self._crawler.settings)

    def process_response(  # type: ignore[override]
        self,
        request: Request,
        response: Response,
        spider: None = None,  # noqa: ARG002
    ) -> Response | Request | Coroutine[Any, Any, Response | Request]:
        """`response` with its body decoded, or a repetition of `request`. Raises
        :class:`AnswerTooLarge` and `ResponseDataLossError`.
        """
        stated = response.headers.getlist("Content-Encoding")
        if not stated or request.method == "HEAD":
            return response
        codings, kept = self._split_encodings(stated)
        if kept:
            self._warn_unknown_encoding(response, kept)
        body = _Body(response, [coding.decode() for coding in reversed(codings)], request, self._limits)
        body.strict = body.strict and request.meta.get("download_fail_on_dataloss", self._fails)
        try:
            if body.step():
                return self._with(response, body.text.getvalue(), kept, request)
        except (Undecodable, AnswerTooLarge) as error:
            return self._failed(error, request, body)
        return self._go_on(body, response, kept, request)

    async def _go_on(
        self, body: _Body, response: Response, kept: list[bytes], request: Request
    ) -> Response | Request:
        """What is left of a large body, in a thread, for which other pages need not wait. While it is decoded
        other bodies are received only as far as there is memory for both.
        """
        try:
            with Memory.of(self._crawler, self._limits.held).share() as share:
                share.grow(len(response.body))
                async with self._one_at_a_time:
                    while not await asyncio.to_thread(body.step):
                        share.grow(_STEP)
        except (Undecodable, AnswerTooLarge) as error:
            return self._failed(error, request, body)
        return self._with(response, body.text.getvalue(), kept, request)

    def _failed(self, error: Exception, request: Request, body: _Body) -> Request:
        body.text.close()  # the error may be kept, and with it all that led to it
        if isinstance(error, AnswerTooLarge):
            raise error
        loss = ResponseDataLossError(f"a body that can't be decoded: {error}")
        retry = self._crawler.get_downloader_middleware(RetryMiddleware)
        again = retry.process_exception(request, loss) if isinstance(retry, RetryMiddleware) else None
        if not isinstance(again, Request):
            raise loss from error
        return again

    def _with(self, response: Response, text: bytes, kept: list[bytes], request: Request) -> Response:
        """`response` with `text` for its body."""
        warn_size = request.meta.get("download_warnsize", self._warn_size)
        if warn_size and len(response.body) < warn_size <= len(text):
            logger.warning("%s: its body decodes to %d bytes (DOWNLOAD_WARNSIZE)", response.url, len(text))
        if self.stats:
            self.stats.inc_value("httpcompression/response_bytes", len(text))
            self.stats.inc_value("httpcompression/response_count")
        response.headers["Content-Encoding"] = kept
        class_ = responsetypes.from_args(headers=response.headers, url=response.url, body=text)
        more: dict[str, Any] = {"encoding": None} if issubclass(class_, TextResponse) else {}
        response = response.replace(cls=class_, body=text, **more)
        if not kept:
            del response.headers["Content-Encoding"]
        return response


class _Body:
    """A body on its way from its codings to its text."""

    def __init__(self, response: Response, codings: list[str], request: Request, limits: Limits) -> None:
        self.text = BytesIO()
        self.cut: int = request.meta.get(CUT, 0)
        self.strict = not _IN_PART & set(response.flags)
        self._size = self._read = 0
        self._most: int = request.meta.get("download_maxsize", limits.body)
        self._limits = limits
        self._too_many = len(codings) > MOST_CODINGS
        self._pieces = decoded(response.body, codings, self._hear)

    def _hear(self, read: int) -> None:
        self._read = read

    def step(self) -> bool:
        """Decodes some of it. Whether that was the last.

        Raises :class:`AnswerTooLarge` and, where the body should be whole, :class:`Undecodable`.
        """
        if self._too_many:
            raise Undecodable(f"more than {MOST_CODINGS} codings")
        until = self._size + _STEP
        try:
            for piece in self._pieces:
                self._size += self.text.write(piece)
                if self.cut and self._size >= self.cut:
                    self.text.truncate(self.cut)
                    return True
                if not self.cut:
                    self._limits.check_decoded(self._size, self._read, self._most)
                if self._size >= until:
                    return False
        except Undecodable:
            if self.strict:
                raise
        return True
