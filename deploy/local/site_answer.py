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


def html(text: str, status: int = 200) -> Answer:
    """An HTML page in UTF-8."""
    return Answer(status=status, body=text.encode())


def redirect(location: str, status: int = 302) -> Answer:
    """A redirect to another path."""
    return Answer(status=status, headers=(("Location", location),))


def not_found() -> Answer:
    """The page for paths that do not exist."""
    return html("<title>Not found</title><p>There is no such page.</p>", status=404)
