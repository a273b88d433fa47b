"""What one answer of a site may cost: the numbers, and the error of whoever goes beyond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scrapy.exceptions import DownloadCancelledError

from .config import at_least

if TYPE_CHECKING:
    from typing import Self

    from scrapy.settings import BaseSettings

CUT = "_frontier_cut"
"""In a request's meta: its body ends after so many bytes, decoded; what follows is not read."""

_RATIO_FROM = 1024 * 1024  # a small body may repeat itself as often as it likes


class AnswerTooLarge(DownloadCancelledError):
    """An answer went beyond a limit; the text names both. No repetition helps, so it isn't retried."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Most bytes of a body, received or decoded, and of its headers; header lines; bytes decoded for one
    received; bytes of the bodies that a worker holds at once while it receives and decodes them. 0: no limit.
    """

    body: int
    header_bytes: int
    headers: int
    ratio: int
    held: int

    @classmethod
    def of(cls, settings: BaseSettings) -> Self:
        """Those of `settings`. Raises :class:`BadSetting`."""

        def bytes_of(name: str) -> int:
            return int(at_least(settings.getint, name, 0))

        return cls(
            body=bytes_of("DOWNLOAD_MAXSIZE"),
            header_bytes=bytes_of("DOWNLOAD_MAX_HEADER_BYTES"),
            headers=bytes_of("DOWNLOAD_MAX_HEADERS"),
            ratio=bytes_of("DOWNLOAD_MAX_RATIO"),
            held=bytes_of("DOWNLOAD_HELD_BYTES"),
        )

    def check_head(self, size: int, lines: int) -> None:
        """Raises :class:`AnswerTooLarge` for headers of so many bytes and lines, those of 1xx answers too."""
        most = self.header_bytes
        if most and size > most:
            raise AnswerTooLarge(f"headers of more than DOWNLOAD_MAX_HEADER_BYTES ({most} bytes)")
        if self.headers and lines > self.headers:
            raise AnswerTooLarge(f"more headers than DOWNLOAD_MAX_HEADERS ({self.headers})")

    def check_framing(self, size: int, body: int) -> None:
        """Raises :class:`AnswerTooLarge` where the lengths and extensions of chunks, and trailers, take so
        many bytes for so many of the body: a chunk of one byte costs a worker as much as one of a thousand.
        """
        if self.header_bytes and size > self.header_bytes + body:
            raise AnswerTooLarge(
                "chunks that take more bytes than what is in them and DOWNLOAD_MAX_HEADER_BYTES"
                f" ({self.header_bytes} bytes)"
            )

    def check_decoded(self, size: int, read: int, most: int) -> None:
        """Raises :class:`AnswerTooLarge` for so many bytes decoded out of so many, where `most` may be."""
        if most and size > most:
            raise AnswerTooLarge(f"a body that decodes to more than DOWNLOAD_MAXSIZE ({most} bytes)")
        if self.ratio and size > _RATIO_FROM and size > read * self.ratio:
            raise AnswerTooLarge(
                f"a body that decodes to {size} bytes and more out of {read}, over DOWNLOAD_MAX_RATIO"
                f" ({self.ratio})"
            )
