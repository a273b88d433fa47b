"""Downloads by aiohttp, which takes a third of what Twisted's HTTP/1.1 client does."""

from __future__ import annotations

import asyncio
import time
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, NoReturn

import aiohttp
from scrapy.core.downloader.handlers._aiohttp import AiohttpDownloadHandler
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
    UnsupportedURLSchemeError,
)
from scrapy.http import Headers
from scrapy.utils.misc import build_from_crawler
from yarl import URL

from crawlers.downloads.handler import Handler, too_large_in
from crawlers.downloads.memory import SMALL, Memory
from crawlers.scheduler import guarded_socket
from crawlers.scheduler.limits import AnswerTooLarge, Limits

from .listener import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scrapy import Request
    from scrapy.core.downloader.handlers._aiohttp import _ClientResponse
    from scrapy.core.downloader.handlers._base_streaming import _BaseResponseArgs
    from scrapy.crawler import Crawler
    from scrapy.http import Response

_UNLIMITED = 2**31

# The first that fits, as in Scrapy's handler.
_ERRORS: tuple[tuple[type[Exception], type[Exception]], ...] = (
    (TimeoutError, DownloadTimeoutError),
    (aiohttp.InvalidUrlClientError, UnsupportedURLSchemeError),
    (aiohttp.NonHttpUrlClientError, UnsupportedURLSchemeError),
    (aiohttp.ClientConnectorDNSError, CannotResolveHostError),
    (aiohttp.ClientConnectorError, DownloadConnectionRefusedError),
    (aiohttp.ClientError, DownloadFailedError),
)


class FastHandler(AiohttpDownloadHandler):
    """Scrapy's own handler for aiohttp, by which it keeps to sizes, time-outs, signals and TLS settings.

    URLs are sent as they are, as Scrapy's handler for HTTP/1.1 does. Ours of that kind is handed what goes
    through a proxy, whose refusals it tells apart, and what has a `bindaddress` of its own.
    """

    # Scrapy calls its own an experiment, and warns of it. The tests of this profile hold what it promises.
    experimental: ClassVar[bool] = False

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._limits = Limits.of(crawler.settings)
        self._memory = Memory.of(crawler, self._limits.held)
        connector = self._session.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        connector._factory = partial(  # type: ignore[assignment]
            Connection, asyncio.get_running_loop(), self._limits
        )
        # Each connection's address is looked at, also one that aiohttp doesn't ask its resolver for.
        connector._socket_factory = guarded_socket

    async def download_request(self, request: Request) -> Response:
        """The answer to `request`. Raises :class:`AnswerTooLarge` and Scrapy's own exceptions."""
        if request.meta.get("proxy") or request.meta.get("bindaddress"):
            return await self._scrapys.download_request(request)
        timeout_s: float = request.meta.get("download_timeout", self._DEFAULT_CONNECT_TIMEOUT)
        try:
            return await self._download(request, aiohttp.ClientTimeout(total=timeout_s))
        except TimeoutError as error:
            raise DownloadTimeoutError(
                f"Getting {request.url} took longer than {timeout_s} seconds."
            ) from error
        except (aiohttp.ClientError, ResponseDataLossError) as error:
            if too_large := too_large_in(error):
                raise too_large from None
            if isinstance(error, ResponseDataLossError):
                raise
            known = next(scrapys for theirs, scrapys in _ERRORS if isinstance(error, theirs))
            raise known(str(error)) from error

    async def _download(self, request: Request, timeout: aiohttp.ClientTimeout) -> Response:
        started_s = time.monotonic()
        async with self._session.request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body or None,  # an empty one would have a Content-Length with GET
            headers=self._request_headers(request).to_tuple_list(),
            timeout=timeout,
            ssl=self._ssl_context,
            allow_redirects=False,
            # Ours are counted before aiohttp's parser sees them.
            max_line_size=_UNLIMITED,
            max_field_size=_UNLIMITED,
            max_headers=_UNLIMITED,
        ) as response:
            request.meta["download_latency"] = time.monotonic() - started_s
            return await self._read_response(_as_scrapys(response), request)

    @staticmethod
    def _extract_headers(response: _ClientResponse) -> Headers:
        """The bytes that came: a value need not be UTF-8."""
        return Headers(response.raw_headers)

    @staticmethod
    def _build_base_response_args(
        response: _ClientResponse, request: Request, headers: Headers
    ) -> _BaseResponseArgs:
        """With the URL that was sent, which has no fragment."""
        args = AiohttpDownloadHandler._build_base_response_args(response, request, headers)
        args["url"] = request.url.partition("#")[0]
        return args

    async def _iter_body_chunks(  # type: ignore[override]
        self, response: _ClientResponse
    ) -> AsyncIterator[bytes]:
        """What came, while there is room for it."""
        size = 0
        with self._memory.share() as share:
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > SMALL:
                    await share.room(size - share.size)
                yield chunk

    @staticmethod
    def _cancel_maxsize(
        size: int,  # noqa: ARG004
        limit: int,
        request: Request,  # noqa: ARG004
        *,
        expected: bool,  # noqa: ARG004
    ) -> NoReturn:
        raise AnswerTooLarge(f"a body of more than DOWNLOAD_MAXSIZE ({limit} bytes)")

    @cached_property
    def _scrapys(self) -> Handler:
        return build_from_crawler(Handler, self.crawler)

    async def close(self) -> None:
        """Closes all connections."""
        await super().close()
        if "_scrapys" in self.__dict__:
            await self._scrapys.close()


def _as_scrapys(response: aiohttp.ClientResponse) -> _ClientResponse:
    """The session makes no others."""
    return response  # type: ignore[return-value]
