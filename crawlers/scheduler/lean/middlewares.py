"""Downloader middlewares without a coroutine around each answer that is none."""

from __future__ import annotations

from functools import cached_property, partial
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from scrapy.core.downloader.middleware import DownloaderMiddlewareManager
from scrapy.exceptions import _InvalidOutput
from scrapy.http import Request, Response
from scrapy.utils.decorators import _warn_spider_arg
from scrapy.utils.defer import ensure_awaitable
from scrapy.utils.python import global_object_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def _scrapys_own(spider: None = None) -> None:
    """Any function that Scrapy's decorator is put around."""


_WARNS = _warn_spider_arg(_scrapys_own).__code__


def unwarned(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method` without the decorator by which Scrapy warns those who hand it a spider. Nobody here does."""
    function = getattr(method, "__func__", None)
    if function is None or getattr(function, "__code__", None) is not _WARNS:
        return method
    return MethodType(function.__wrapped__, method.__self__)  # type: ignore[attr-defined]


class _Step(NamedTuple):
    """A method of a middleware, and how it is called in messages."""

    call: Callable[..., Any]
    name: str
    path: str


class Middlewares(DownloaderMiddlewareManager):
    """Scrapy's, with the same order, checks and messages."""

    @cached_property
    def _on_request(self) -> list[_Step]:
        return [self._step(method) for method in self.methods["process_request"]]

    @cached_property
    def _on_response(self) -> list[_Step]:
        return [self._step(method) for method in self.methods["process_response"]]

    def _step(self, method: Callable[..., Any] | None) -> _Step:
        assert method is not None
        call = unwarned(method)
        if method in self._mw_methods_requiring_spider:
            call = partial(method, spider=self._spider)
        return _Step(call, method.__qualname__, global_object_name(method))

    async def _process_request(
        self, request: Request, download_func: Callable[[Request], Coroutine[Any, Any, Response]]
    ) -> Response | Request:
        for call, name, path in self._on_request:
            result = call(request=request)
            if result is not None and not isinstance(result, (Response, Request)):
                result = await ensure_awaitable(result, _warn=path)
            if result is None:
                continue
            if not isinstance(result, (Response, Request)):
                raise _InvalidOutput(
                    f"Middleware {name} must return None, Response or Request, got {type(result).__name__}"
                )
            return result
        return await download_func(request)

    async def _process_response(self, response: Response | Request, request: Request) -> Response | Request:
        if response is None:
            raise TypeError("Received None in process_response")
        if isinstance(response, Request):
            return response
        for call, name, path in self._on_response:
            result = call(request=request, response=response)
            if result is response:
                continue
            if not isinstance(result, (Response, Request)):
                result = await ensure_awaitable(result, _warn=path)
            if isinstance(result, Request):
                return result
            if not isinstance(result, Response):
                raise _InvalidOutput(f"Middleware {name} must return Response or Request, got {type(result)}")
            response = result
        return response
