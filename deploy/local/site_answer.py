"""What the practice site answers, before it becomes bytes on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

HTML = "text/html; charset=utf-8"


class Ending(Enum):
    """What becomes of the connection after an answer."""

    KEEP = "stays open for the next request"
    CLOSE = "is closed in order"
    RESET = "is reset (TCP RST)"
    SILENCE = "stays open, and not a byte is ever sent"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer.

    `content_type` None sends no such header; `missing_bytes` is by how much Content-Length
    overstates the body; `delay_ms` is waited before the first byte is sent.
    """

    status: int = 200
    body: bytes = b""
    content_type: str | None = HTML
    headers: tuple[tuple[str, str], ...] = ()
    missing_bytes: int = 0
    delay_ms: int = 0
    ending: Ending = Ending.KEEP

    def wire(self) -> bytes:
        """Head and body as HTTP/1.1 sends them."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        if self.content_type is not None:
            lines.append(f"Content-Type: {self.content_type}")
        lines.append(f"Content-Length: {len(self.body) + self.missing_bytes}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.ending is Ending.CLOSE:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer as the server sends it: after `delay_ms` the bytes of `wire`, and then `ending`.

    `status` is for the log: 0 where the ending leaves the client without an answer.
    """

    wire: bytes
    status: int
    delay_ms: int
    ending: Ending

    @classmethod
    def of(cls, answer: Answer, extra_delay_ms: int) -> Ready:
        """`answer` made ready; `extra_delay_ms` comes on top of its own delay."""
        answered = answer.ending in (Ending.KEEP, Ending.CLOSE)
        status = answer.status if answered else 0
        return cls(answer.wire(), status, answer.delay_ms + extra_delay_ms, answer.ending)


def html(text: str, status: int = 200) -> Answer:
    """An HTML page in UTF-8."""
    return Answer(status=status, body=text.encode())


def redirect(location: str, status: int = 302) -> Answer:
    """A redirect to another path."""
    return Answer(status=status, headers=(("Location", location),))


def not_found() -> Answer:
    """The page for paths that do not exist."""
    return html("<title>Not found</title><p>There is no such page.</p>", status=404)
