"""Downloads by aiohttp, which takes a third of what Twisted's HTTP/1.1 client does."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import aiohttp
from scrapy.core.downloader.handlers._aiohttp import AiohttpDownloadHandler
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    UnsupportedURLSchemeError,
)
from scrapy.http import Headers
from scrapy.utils.misc import build_from_crawler
from yarl import URL

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.core.downloader.handlers._aiohttp import _ClientResponse
    from scrapy.http import Response

# aiohttp's own 8,190 and 128 are less than what policies and cookies of large sites take, and than Twisted's.
_MOST_HEADER_BYTES = 65_536
_MOST_HEADERS = 1000

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

    URLs are sent as they are, as Scrapy's handler for HTTP/1.1 does. That one is handed what goes through a
    proxy, whose refusals it tells apart, and what has a `bindaddress` of its own.
    """

    # Scrapy calls its own an experiment, and warns of it. The tests of this profile hold what it promises.
    experimental: ClassVar[bool] = False

    async def download_request(self, request: Request) -> Response:
        """The answer to `request`. Raises Scrapy's own exceptions."""
        if request.meta.get("proxy") or request.meta.get("bindaddress"):
            return await self._scrapys.download_request(request)
        timeout_s: float = request.meta.get("download_timeout", self._DEFAULT_CONNECT_TIMEOUT)
        try:
            return await self._download(request, aiohttp.ClientTimeout(total=timeout_s))
        except TimeoutError as error:
            raise DownloadTimeoutError(
                f"Getting {request.url} took longer than {timeout_s} seconds."
            ) from error
        except aiohttp.ClientError as error:
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
            max_line_size=_MOST_HEADER_BYTES,
            max_field_size=_MOST_HEADER_BYTES,
            max_headers=_MOST_HEADERS,
        ) as response:
            request.meta["download_latency"] = time.monotonic() - started_s
            return await self._read_response(_as_scrapys(response), request)

    @staticmethod
    def _extract_headers(response: _ClientResponse) -> Headers:
        """The bytes that came: a value need not be UTF-8."""
        return Headers(response.raw_headers)

    @cached_property
    def _scrapys(self) -> HTTP11DownloadHandler:
        return build_from_crawler(HTTP11DownloadHandler, self.crawler)

    async def close(self) -> None:
        """Closes all connections."""
        await super().close()
        if "_scrapys" in self.__dict__:
            await self._scrapys.close()


def _as_scrapys(response: aiohttp.ClientResponse) -> _ClientResponse:
    """The session makes no others."""
    return response  # type: ignore[return-value]
