"""Between a connection of aiohttp's and its parser: limits, and answers that are followed by what is none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from crawlers.scheduler.limits import AnswerTooLarge

if TYPE_CHECKING:
    import asyncio

    from crawlers.scheduler.limits import Limits

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_LINES = b"\n"


class Connection(ResponseHandler):
    """aiohttp's, with a :class:`Listener` before its parser."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        super().__init__(loop)
        self.limits = limits

    def hang_up(self) -> None:
        """The answer is complete, and its connection can't be trusted with another request."""
        self.force_close()
        if self.transport is not None:
            self.transport.close()

    @property
    def waits(self) -> bool:
        """Whoever reads the body is slower than the site: some of what came may not have been parsed."""
        return self._reading_paused

    def set_response_params(self, **more: Any) -> None:
        """aiohttp's call before it sends a request: makes the parser of the answer."""
        super().set_response_params(**more)
        self._parser: Any = Listener(self._parser, self)


class Listener:
    """Hands an answer to `parser`, the headers before the body, so that they are known whatever comes behind.

    Raises :class:`AnswerTooLarge` beyond the limits of its `connection`.
    """

    def __init__(self, parser: Any, connection: Connection) -> None:
        self._parser = parser
        self._connection = connection
        self._limits = connection.limits
        self._head_bytes = self._head_lines = self._raw_bytes = 0
        self._payload: Any = None
        self._head, self._over = True, False
        self._failed: AnswerTooLarge | None = None
        self.pause_reading = parser.pause_reading
        self.message_consumed = parser.message_consumed
        self.set_upgraded = parser.set_upgraded

    def feed_data(self, data: bytes) -> tuple[Any, bool, bytes]:
        """The messages whose headers ended in `data`; the others are aiohttp's."""
        try:
            return self._headers(data) if self._head else self._body(data)
        except AnswerTooLarge as error:
            self._failed = error
            raise

    def feed_eof(self) -> Any:
        """The connection has ended. Raises what made us end it."""
        if self._failed is not None:
            raise self._failed
        return None if self._over else self._parser.feed_eof()

    def _headers(self, data: bytes) -> tuple[Any, bool, bytes]:
        messages: list[Any] = []
        at = 0
        while self._head and at < len(data):
            end = _END_OF_HEAD.search(data, at)
            until = end.end() if end else len(data)
            self._head_bytes += until - at
            self._head_lines += data.count(_LINES, at, until)
            self._limits.check_head(self._head_bytes, self._head_lines)
            came, upgraded, tail = self._parser.feed_data(data[at:until])
            messages += came
            at = until
            if upgraded:
                return messages, upgraded, tail + data[at:]
            if came and came[-1][0].code >= 200:
                self._head, self._payload = False, came[-1][1]
        if at < len(data):
            self._body(data[at:])
        return messages, False, b""

    def _body(self, data: bytes) -> tuple[Any, bool, bytes]:
        if self._over:
            return (), False, b""
        self._raw_bytes += len(data)
        try:
            outcome: tuple[Any, bool, bytes] = self._parser.feed_data(data)
        except HttpProcessingError:
            if not self._payload.is_eof():
                raise
            self._over = True  # what follows a complete answer is none (RFC 9112, 6.3 and 9.2)
            self._connection.hang_up()
            return (), False, b""
        if not self._connection.waits:
            size = self._payload.total_bytes
            self._limits.check_framing(self._raw_bytes - size, size)
        return outcome
