"""Bodies decoded in bounded pieces, and memory that they share."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import brotli
import pytest
from backports import zstd
from scrapy import Request
from scrapy.http import Response
from scrapy.utils.test import get_crawler

from crawlers.downloads.coding import PIECE, Truncated, Undecodable, decoded
from crawlers.downloads.compression import HttpCompression
from crawlers.downloads.memory import Memory
from crawlers.scheduler.limits import AnswerTooLarge

MB = 1024 * 1024
ENCODE = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": zstd.compress,
}
BRS_EXCESS = PIECE
"""brotli gives its whole buffer, which may be larger than was asked for."""


@pytest.mark.parametrize("coding", ENCODE)
def test_no_piece_is_larger_than_a_buffer(coding: str) -> None:
    # Given a body of 20 MB in some KB
    body = ENCODE[coding](bytes(20 * MB))
    # When it is decoded
    sizes = [len(piece) for piece in decoded(body, [coding])]
    # Then whoever takes the pieces could have stopped at any of them
    assert sum(sizes) == 20 * MB
    assert max(sizes) <= PIECE + BRS_EXCESS


@pytest.mark.parametrize("coding", ENCODE)
def test_a_body_that_is_cut_anywhere_is_told_from_a_whole_one(coding: str) -> None:
    # Given a body
    body = ENCODE[coding](b"".join(b"%d" % number for number in range(99)))
    assert b"".join(decoded(body, [coding])).endswith(b"9798")
    # When it is cut anywhere, then it is seen
    for length in range(1, len(body)):
        with pytest.raises(Truncated):
            list(decoded(body[:length], [coding]))


def test_members_without_end_that_hold_nothing_end() -> None:
    # Given 20,000 gzip members without a byte in them, each of which needs a decoder
    # When they are decoded, then not all of them are
    with pytest.raises(Undecodable, match="more than 10000 members"):
        list(decoded(gzip.compress(b"") * 20_000, ["gzip"]))


def test_the_loop_goes_on_while_a_large_body_is_decoded() -> None:
    # Given a body of 30 MB
    text = b"".join(b"%d lines\n" % number for number in range(2 * MB))
    response = Response("http://a.example", headers={"Content-Encoding": "gzip"}, body=gzip.compress(text, 1))
    middleware = HttpCompression.from_crawler(get_crawler(settings_dict={"DOWNLOAD_MAXSIZE": 40 * MB}))
    turns = 0

    async def go() -> Response:
        nonlocal turns
        decoding = asyncio.ensure_future(middleware.process_response(Request("http://a.example"), response))
        while not decoding.done():
            turns += 1
            await asyncio.sleep(0)
        return decoding.result()

    # When it is decoded
    came = asyncio.run(go())
    # Then the loop has had its turn many times
    assert came.body == text
    assert turns > 50


def test_a_users_own_limit_holds_for_its_request() -> None:
    # Given a request that may have 2 MB, and a body that has 3
    request = Request("http://a.example", meta={"download_maxsize": 2 * MB})
    body = gzip.compress(b"".join(b"%d\n" % number for number in range(MB // 2)))
    response = Response("http://a.example", headers={"Content-Encoding": "gzip"}, body=body)
    middleware = HttpCompression.from_crawler(get_crawler(settings_dict={"DOWNLOAD_MAXSIZE": 40 * MB}))
    # When it is decoded, then it is too large
    with pytest.raises(AnswerTooLarge, match=f"decodes to more than DOWNLOAD_MAXSIZE \\({2 * MB} bytes"):
        asyncio.run(middleware.process_response(request, response))


def test_where_memory_is_used_up_the_oldest_body_goes_on_and_the_others_wait() -> None:
    # Given room for 10 bytes, and two bodies that have 8
    memory = Memory(10)
    old, new = memory.share(), memory.share()
    resumed: list[str] = []
    assert old.grow(8)
    # When a second one grows
    new.resume = lambda: resumed.append("new")
    # Then it waits, while the first goes on, until that one is over
    assert not new.grow(8)
    assert old.grow(8)
    assert resumed == []
    old.release()
    assert resumed == ["new"]
    assert new.grow(1)
