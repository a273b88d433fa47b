"""The spider middlewares in one generator, where there are only Scrapy's and ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

from scrapy import Request
from scrapy.spidermiddlewares.depth import DepthMiddleware

from ..onward import AT_REST, AT_WORK
from ..sieve import LinkSieve

if TYPE_CHECKING:
    from scrapy.core.spidermw import SpiderMiddlewareManager
    from scrapy.http import Response
    from scrapy.spidermiddlewares.base import BaseSpiderMiddleware


class Passage:
    """What a callback yields on its way from the spider to the engine.

    `sieve` is ours; `at_work` are those of Scrapy's that do something with requests, from the spider on.
    """

    def __init__(self, sieve: LinkSieve | None, at_work: list[BaseSpiderMiddleware]) -> None:
        self._sieve = sieve
        self._steps = [middleware.get_processed_request for middleware in at_work]
        self._depths = [each for each in at_work if isinstance(each, DepthMiddleware)]

    @classmethod
    def through(cls, manager: SpiderMiddlewareManager) -> Self | None:
        """That of the enabled middlewares; None where one of them may do anything."""
        methods = [method for method in manager.methods["process_spider_output"] if method is not None]
        owners: list[Any] = [getattr(method, "__self__", None) for method in methods]
        sieves = [owner for owner in owners if type(owner) is LinkSieve]
        at_work = [owner for owner in owners if type(owner) in AT_WORK]
        at_rest = [owner for owner in owners if type(owner) in AT_REST]
        if len(sieves) + len(at_work) + len(at_rest) < len(owners) or owners[: len(sieves)] != sieves:
            return None
        return cls(sieves[0] if sieves else None, at_work)

    def of(
        self, outputs: Iterable[Any] | AsyncIterator[Any], response: Response
    ) -> Iterator[Any] | AsyncIterator[Any]:
        """What comes out where `outputs` go in."""
        for depth in self._depths:
            depth._init_depth(response)
        if isinstance(outputs, AsyncIterator):
            return self._of_async(outputs, response)
        return self._of(outputs, response)

    def _of(self, outputs: Iterable[Any], response: Response) -> Iterator[Any]:
        sifted = outputs if self._sieve is None else self._sieve.sift(outputs, response)
        for output in sifted:
            through = self._step(output, response) if isinstance(output, Request) else output
            if through is not None:
                yield through

    async def _of_async(self, outputs: AsyncIterator[Any], response: Response) -> AsyncIterator[Any]:
        async for output in outputs:
            for through in self._of((output,), response):
                yield through

    def _step(self, request: Request, response: Response) -> Request | None:
        for step in self._steps:
            processed = step(request, response)
            if processed is None:
                return None
            request = processed
        return request
