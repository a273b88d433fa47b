"""Answers as sites send them: damaged, odd, and out of all bounds."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable, Iterator

import brotli
from backports import zstd

from deploy.local.raw_site import Answer

MB = 1024 * 1024
TEXT = b"<p>echo of a page</p>" + bytes(range(32, 127)) * 40


def _deflate_raw(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw": ("deflate", _deflate_raw),
    "br": ("br", lambda data: brotli.compress(data, quality=5)),
    "zstd": ("zstd", zstd.compress),
    "nested": ("gzip, br", lambda data: brotli.compress(gzip.compress(data), quality=5)),
}


def answer(
    body: bytes, *headers: str, status: str = "200 OK", length: int | None = None, close: bool = False
) -> Answer:
    """`body` as it is, with a `length` that need not be its own."""
    size = len(body) if length is None else length
    head = [
        f"HTTP/1.1 {status}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {size}",
        *headers,
    ]
    return Answer(lambda: ["\r\n".join([*head, "", ""]).encode() + body], close)


def coded(body: bytes, coding: str, *headers: str) -> Answer:
    """`body` said to be in this Content-Encoding."""
    return answer(body, f"Content-Encoding: {coding}", *headers)


def without_length(*parts: bytes, headers: tuple[str, ...] = ()) -> Answer:
    """A body that ends with its connection."""
    head = "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: text/html", *headers, "", ""]).encode()
    return Answer(lambda: [head, *parts])


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> Answer:
    """A body in chunks as they are given, framing and all."""
    return Answer(lambda: [CHUNKED, *chunks, end])


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"


def damaged() -> dict[str, Answer]:
    """Bodies that aren't what they should be: transfers that went wrong."""
    answers = {}
    for name, (coding, encode) in CODINGS.items():
        whole = encode(TEXT)
        answers[f"/cut/{name}"] = coded(whole[: len(whole) // 2], coding)
        answers[f"/cut-at-last/{name}"] = coded(whole[:-1], coding)
        answers[f"/noise/{name}"] = coded(b"this is no such thing" * 9, coding)
    flipped = bytearray(gzip.compress(TEXT))
    flipped[-6] ^= 1
    return answers | {
        "/checksum": coded(bytes(flipped), "gzip"),
        "/six-codings": coded(TEXT, ", ".join(["gzip"] * 6)),
        "/short": answer(TEXT, length=len(TEXT) + 100, close=True),
        "/chunk-cut": chunked(b"20\r\nhalf", end=b""),
    }


def good() -> dict[str, Answer]:
    """Bodies that are :data:`TEXT`, or none, in whatever way."""
    answers = {f"/whole/{name}": coded(encode(TEXT), coding) for name, (coding, encode) in CODINGS.items()}
    zeros = b"\0" * 100
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    return answers | {
        "/padded/gzip": coded(gzip.compress(TEXT) + zeros, "gzip"),
        "/padded/zstd": coded(zstd.compress(TEXT) + zeros, "zstd"),
        "/members/gzip": coded(gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:]), "gzip"),
        "/members/zstd": coded(zstd.compress(TEXT[:99]) + zstd.compress(TEXT[99:]), "zstd"),
        "/upper": coded(gzip.compress(TEXT), "GZip"),
        "/too-long": answer(TEXT + b"more", length=len(TEXT)),
        "/until-closed": without_length(TEXT),
        "/chunks": chunked(b"%x;a=b\r\n%s\r\n" % (len(TEXT), TEXT)),
        "/hints": Answer(lambda: [hints, *answer(TEXT).parts()], False),
    }


def empty() -> dict[str, Answer]:
    """No bodies, whatever is sent behind the headers."""
    return {
        "/204": answer(b"more", status="204 No Content"),
        "/204-without-length": Answer(lambda: [b"HTTP/1.1 204 No Content\r\n\r\nmore"], False),
        "/304": answer(b"more", status="304 Not Modified"),
        "/no-length": answer(b"more", length=0),
        "/empty/gzip": coded(b"", "gzip"),
        "/empty/zstd": coded(b"", "zstd"),
    }


def _forever(first: bytes, again: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: itertools.chain([first], itertools.repeat(again))


def bombs() -> dict[str, tuple[Answer, str]]:
    """Each with the setting that ends it, by its path."""
    size, ratio = "DOWNLOAD_MAXSIZE", "DOWNLOAD_MAX_RATIO"
    zeros = b"\0" * (64 * MB)
    mixed = (bytes(range(256)) * 64 + b"".join(i.to_bytes(4) for i in range(2048))) * 1600  # 40 MB
    nested = gzip.compress(gzip.compress(zeros * 4))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    block = b"x" * 65_536
    return {
        "/bomb/gzip": (coded(gzip.compress(zeros), "gzip"), ratio),
        "/bomb/deflate": (coded(zlib.compress(zeros), "deflate"), ratio),
        "/bomb/raw": (coded(_deflate_raw(zeros), "deflate"), ratio),
        "/bomb/br": (coded(brotli.compress(zeros, quality=5), "br"), ratio),
        "/bomb/zstd": (coded(zstd.compress(zeros), "zstd"), ratio),
        "/bomb/nested": (coded(nested, "gzip, gzip"), ratio),
        "/bomb/nested-lines": (
            Answer(lambda: [head + b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\n" + nested]),
            ratio,
        ),
        "/bomb/slow-ratio": (coded(gzip.compress(mixed), "gzip"), size),
        "/bomb/endless": (Answer(_forever(head + b"\r\n", block)), size),
        "/bomb/endless-gzip": (
            Answer(_forever(head + b"Content-Encoding: gzip\r\n\r\n", block)),
            size,
        ),
        "/bomb/announced": (Answer(_forever(head + b"Content-Length: 99999999999\r\n\r\n", block)), size),
        "/bomb/endless-chunks": (Answer(_forever(CHUNKED, b"10000\r\n" + block + b"\r\n")), size),
        "/bomb/headers": (
            Answer(lambda: [head, *(b"X-%d: y\r\n" % i for i in range(100_000)), b"\r\n"]),
            "DOWNLOAD_MAX_HEADER",
        ),
        "/bomb/short-headers": (Answer(_forever(head, b"a:\r\n" * 1000)), "DOWNLOAD_MAX_HEADER"),
        "/bomb/header-line": (Answer(_forever(head + b"X: ", block)), "DOWNLOAD_MAX_HEADER_BYTES"),
        "/bomb/header-name": (Answer(_forever(head, block)), "DOWNLOAD_MAX_HEADER_BYTES"),
        "/bomb/status-line": (Answer(_forever(b"HTTP/1.1 200 ", block)), "DOWNLOAD_MAX_HEADER_BYTES"),
        "/bomb/folded": (Answer(_forever(head + b"X: y\r\n", b" y\r\n" * 1000)), "DOWNLOAD_MAX_HEADER"),
        "/bomb/1xx": (
            Answer(_forever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)),
            "DOWNLOAD_MAX_HEADER",
        ),
        "/bomb/chunk-extensions": (
            Answer(_forever(CHUNKED, (b"1;" + b"e" * 900 + b"\r\nx\r\n") * 70)),
            "DOWNLOAD_MAX_HEADER_BYTES",
        ),
        "/bomb/tiny-chunks": (Answer(_forever(CHUNKED, b"1\r\nx\r\n" * 10_000)), "DOWNLOAD_MAX_HEADER_BYTES"),
        "/bomb/trailers": (
            Answer(_forever(CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Trailer: y\r\n" * 1000)),
            "DOWNLOAD_MAX_HEADER_BYTES",
        ),
        "/bomb/chunk-line": (
            Answer(_forever(CHUNKED + b"1;", block)),
            "DOWNLOAD_MAX_HEADER_BYTES|Chunk size line exceeds",
        ),
    }


def drips() -> dict[str, Answer]:
    """Answers that are never over, a byte at a time."""
    return {
        "/drip/body": Answer(_forever(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), pause_s=0.1),
        "/drip/head": Answer(_forever(b"HTTP/1.1 200 OK\r\nX: ", b"x"), pause_s=0.1),
        "/drip/chunks": Answer(_forever(CHUNKED, b"1\r\nx\r\n"), pause_s=0.1),
        "/drip/1xx": Answer(_forever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), pause_s=0.1),
        "/drip/nothing": Answer(_forever(b"", b""), pause_s=0.1),
    }
