"""Content codings, decoded in pieces: gzip, deflate, br, zstd, and these within each other.

No piece is larger than 64 KiB, so that whoever takes them may stop at any size, and nothing here takes more
than a window beside it: 32 KiB for gzip and deflate, 16 MiB for br, 8 MiB for zstd (RFC 9659).
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator

import brotli  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 65_536
_INPUT = 4096  # bytes given at once: what is left of them when a member ends is copied
_MOST_MEMBERS = 10_000  # gzip members or zstd frames; each takes a decoder, though it may hold nothing
_ZSTD_WINDOW_LOG = 23
# As many as curl takes (MAX_ENCODE_STACK); servers use one.
MOST_CODINGS = 5


class Undecodable(ValueError):
    """A body that isn't in its Content-Encoding; the text says what is wrong."""


class Truncated(Undecodable):
    """A body that ends too early. All that it holds has been decoded."""


def decoded(
    body: bytes, codings: Iterable[str], hear: Callable[[int], object] = lambda _: None
) -> Iterator[bytes]:
    """The pieces of `body`, to which `codings` were applied in this order. Empty bodies need no coding.

    Calls `hear` with the number of bytes read before it reads more. Raises :class:`Undecodable` as soon as it
    is seen.
    """
    pieces = _slices(body, hear)
    if body:
        for coding in reversed(list(codings)):
            pieces = DECODERS[coding](pieces)
    return pieces


def _slices(body: bytes, hear: Callable[[int], object]) -> Iterator[bytes]:
    for at in range(0, len(body), _INPUT):
        hear(min(at + _INPUT, len(body)))
        yield body[at : at + _INPUT]


def _gunzip(pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield from _members(pieces, "gzip", b"\x1f\x8b", _Inflate)


def _unzstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield from _members(pieces, "zstd", b"\x28\xb5\x2f\xfd", _Zstd)


class _Inflate:
    """A gzip member."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data and not self._inflate.eof:
            yield self._inflate.decompress(data, PIECE)
            data = self._inflate.unconsumed_tail

    @property
    def rest(self) -> bytes | None:
        """What follows its end; None before that."""
        return self._inflate.unused_data if self._inflate.eof else None


class _Zstd:
    """A zstd frame."""

    def __init__(self) -> None:
        options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
        self._decompressor = zstd.ZstdDecompressor(options=options)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while not self._decompressor.eof:
            yield self._decompressor.decompress(data, PIECE)
            if self._decompressor.needs_input:
                return
            data = b""

    @property
    def rest(self) -> bytes | None:
        """What follows its end; None before that."""
        return self._decompressor.unused_data if self._decompressor.eof else None


def _members(
    pieces: Iterator[bytes], coding: str, magic: bytes, decoder: Callable[[], _Inflate | _Zstd]
) -> Iterator[bytes]:
    """One after the other. What follows the last and is none is padding."""
    member, members, behind = decoder(), 1, b""
    between = False
    for piece in pieces:
        data = behind + piece if between else piece
        while True:
            if between:
                if len(data) < len(magic):
                    behind = data
                    break
                if not data.startswith(magic):
                    return
                member, members, between = decoder(), members + 1, False
                if members > _MOST_MEMBERS:
                    raise Undecodable(f"{coding}: more than {_MOST_MEMBERS} members")
            try:
                yield from member.feed(data)
            except (zlib.error, zstd.ZstdError) as error:
                raise Undecodable(f"{coding}: {error}") from error
            rest = member.rest
            if rest is None:
                break
            data, between = rest, True
    if not between:
        raise Truncated(f"{coding}: it ends too early")


def _inflate(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """With zlib's wrapper as the standard has it, or without it as servers send it."""
    inflate, raw = zlib.decompressobj(), False
    for number, piece in enumerate(pieces):
        data = piece
        while data and not inflate.eof:
            try:
                out = inflate.decompress(data, PIECE)
            except zlib.error as error:
                if number or raw or data is not piece:
                    raise Undecodable(f"deflate: {error}") from error
                inflate, raw = zlib.decompressobj(-15), True
                continue
            yield out
            data = inflate.unconsumed_tail
    if not inflate.eof:
        raise Truncated("deflate: it ends too early")


def _unbrotli(pieces: Iterator[bytes]) -> Iterator[bytes]:
    decompressor = brotli.Decompressor()
    for piece in pieces:
        data = piece
        while not decompressor.is_finished():
            try:
                out = decompressor.process(data, output_buffer_limit=PIECE)
            except brotli.error as error:
                raise Undecodable("br: not in this coding") from error
            if not out:
                break
            yield out
            data = b""
    if not decompressor.is_finished():
        raise Truncated("br: it ends too early")


DECODERS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
