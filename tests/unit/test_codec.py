"""Links come out of a queue as they went in, or not at all; and no bytes in a queue do any harm."""

from __future__ import annotations

import datetime
import enum
import pickle
from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawlers.frontier import BadPayload, Link, NotPlainData, decode, encode

URL = "http://a.example/page"
PLENTY = 1_000_000

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


def _is_unambiguous(moment: datetime.datetime) -> bool:
    """Not in the hour that comes twice when clocks are set back, which Python takes for equal to no other."""
    return moment.replace(fold=0).utcoffset() == moment.replace(fold=1).utcoffset()


_zones = st.none() | st.timezones() | st.just(datetime.UTC)
_keys = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | _text
    | st.binary(max_size=10)
    | st.datetimes(timezones=_zones, allow_imaginary=False).filter(_is_unambiguous)
    | st.dates()
)
_hashable = st.recursive(
    _keys, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5
)
_plain = st.recursive(
    _hashable,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_hashable, inner, max_size=3)
        | st.sets(_hashable, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=10,
)
_maps = st.dictionaries(_text, _plain, max_size=3)

_all_links = st.builds(
    Link,
    url=_text.filter(bool),
    callback=st.none() | _text.filter(bool),
    meta=st.dictionaries(_hashable, _plain, max_size=3),
    method=st.sampled_from(["GET", "POST"]),
    headers=st.dictionaries(st.binary(max_size=5), st.lists(st.binary(max_size=5), max_size=2), max_size=3),
    body=st.binary(max_size=20),
    cookies=_maps | st.lists(_maps, max_size=2),
    encoding=st.sampled_from(["utf-8", "latin-1"]),
    dont_filter=st.booleans(),
    errback=st.none() | _text.filter(bool),
    flags=st.lists(_text, max_size=3),
    cb_kwargs=_maps,
    kind=_text,
    extra=_maps,
)


@given(_all_links)
def test_a_link_comes_back_as_it_was(link: Link) -> None:
    # Given any link that holds plain data
    # When it goes through a queue
    back = decode(encode(link, PLENTY))
    # Then each value is the same and of the same type
    assert back == link
    assert _types(back.meta) == _types(link.meta)


def _types(value: Any) -> Any:
    """The types of a value and of all that it holds."""
    if isinstance(value, dict):
        return type(value), sorted((repr(_types(k)), repr(_types(v))) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return type(value), [_types(part) for part in value]
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(repr(_types(part)) for part in value)
    return type(value)


def test_most_links_take_little_more_than_their_url() -> None:
    # Given the most common links
    # When they are written
    sizes = [len(encode(link, PLENTY)) for link in (Link(URL), Link(URL, "parse_page", {"depth": 3}))]
    # Then they take their URL and less than 24 bytes
    assert max(sizes) - len(URL) < 24


class _Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class _Kind(int, enum.Enum):
    FIVE = 5


class _Word(str, enum.Enum):  # noqa: UP042  # StrEnum's text is its value; this one's isn't
    HELLO = "hello"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (_Text("text"), "text"),
        (_Word.HELLO, "hello"),
        (_Kind.FIVE, 5),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        ({_Text("key"): 1}, {"key": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_of_a_subclass_the_plain_value_is_kept(value: Any, plain: Any) -> None:
    # Given a value of a class that adds to a plain one
    # When it goes through a queue
    (back,) = decode(encode(Link(URL, meta={"value": value}), PLENTY)).meta.values()
    # Then it is what the plain class holds
    assert (back, type(back)) == (plain, type(plain))


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append((cycle,))
    return cycle


def _nested(levels: int, wrap: Any) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


NOT_DATA = {
    "an object": (object(), "a object is not plain data"),
    "a function": (lambda: None, "a function is not plain data"),
    "a class": (Link, "a type is not plain data"),
    "a dataclass": (Link(URL), "a Link is not plain data"),
    "a named tuple": (namedtuple("Point", "x y")(1, 2), "a Point is not plain data"),
    "half a surrogate pair": ("\ud800", "it can't be written as data"),
    "lists without end": (_nested(2000, lambda value: [value]), "it can't be written as data"),
    "maps without end": (_nested(2000, lambda value: {"a": value}), "it can't be written as data"),
    "tuples without end": (_nested(2000, lambda value: (value,)), "nested more than 16 deep"),
    "sets without end": (_nested(100, lambda value: frozenset([value])), "nested more than 16 deep"),
    "a circle": (_cycle(), "nested more than 16 deep"),
}


@pytest.mark.parametrize(("value", "reason"), NOT_DATA.values(), ids=NOT_DATA)
@pytest.mark.parametrize("place", ["meta", "cb_kwargs", "extra"])
def test_what_is_more_than_data_is_refused_with_the_reason(value: Any, reason: str, place: str) -> None:
    # Given a link that holds something that no other worker could have
    # When it is to be written
    # Then the error says what it is
    with pytest.raises(NotPlainData, match=reason) as caught:
        encode(Link(URL, **{place: {"value": value}}), PLENTY)
    # And where it is
    if "written" not in reason:
        assert f" (in {place}['value'])" in str(caught.value)


def test_sixteen_tuples_within_each_other_are_data() -> None:
    # Given a link with as many as are allowed
    link = Link(URL, meta={"value": _nested(16, lambda value: (value,))})
    # When it goes through a queue
    # Then it comes back
    assert decode(encode(link, PLENTY)) == link


@given(st.integers(1, 300))
def test_a_payload_is_as_large_as_allowed_and_no_byte_larger(max_bytes: int) -> None:
    # Given a link with a body
    link = Link(URL, method="POST", body=bytes(200))
    size = len(encode(link, PLENTY))
    # When it may take so many bytes
    # Then it is refused exactly if it takes more, and told so
    if size <= max_bytes:
        assert len(encode(link, max_bytes)) == size
    else:
        with pytest.raises(NotPlainData, match=f"it takes {size} bytes, {max_bytes} are allowed"):
            encode(link, max_bytes)


class _Touch:
    """What a pickle would do on arrival."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("a payload was executed",))


def _bomb(levels: int, code: int) -> bytes:
    """A payload whose meta nests so many values of an extension type."""
    value = b"\x90"
    for _ in range(levels):
        value = msgpack.packb(msgpack.ExtType(code, value))
    return b"\x94\x01\xa1u\xc0\x81\xa1a" + value


HOSTILE = {
    "nothing": b"",
    "a pickle": pickle.dumps(_Touch()),
    "a pickle as text": pickle.dumps({"url": URL, "callback": _Touch()}, protocol=0),
    "JSON": b'{"url": "http://a.example/"}',
    "another version": msgpack.packb([2, URL]),
    "no version": msgpack.packb([]),
    "a map": msgpack.packb({"url": URL}),
    "no URL": msgpack.packb([1]),
    "too many parts": msgpack.packb([1, URL, None, {}, {}, 1]),
    "a URL that is a number": msgpack.packb([1, 1]),
    "a URL that is bytes": msgpack.packb([1, b"http://a.example/"]),
    "a callback that is a list": msgpack.packb([1, URL, ["parse"]]),
    "meta that is a list": msgpack.packb([1, URL, None, []]),
    "fields that are a list": msgpack.packb([1, URL, None, {}, [1]]),
    "an unknown field": msgpack.packb([1, URL, None, {}, {"__class__": "os.system"}]),
    "a field with a name of bytes": msgpack.packb([1, URL, None, {}, {b"body": b""}]),
    "a field of a wrong type": msgpack.packb([1, URL, None, {}, {"body": "text"}]),
    "an unknown extension": msgpack.packb([1, URL, None, {"a": msgpack.ExtType(99, b"")}]),
    "a date that is none": msgpack.packb([1, URL, None, {"a": msgpack.ExtType(4, b"yesterday")}]),
    "a number that is none": msgpack.packb([1, URL, None, {"a": msgpack.ExtType(6, b"xyz")}]),
    "a tuple that is none": msgpack.packb([1, URL, None, {"a": msgpack.ExtType(1, b"\x01")}]),
    "a set of lists": msgpack.packb([1, URL, None, {"a": msgpack.ExtType(2, b"\x91\x90")}]),
    "a map with a list as key": b"\x94\x01\xa1u\xc0\x81\x90\x01",
    "a list that says it is huge": b"\xdd\xff\xff\xff\xff",
    "a map that says it is huge": b"\xdf\xff\xff\xff\xff",
    "bytes that say they are huge": b"\xc6\xff\xff\xff\xff",
    "an extension that says it is huge": b"\xc9\xff\xff\xff\xff\x01",
    "a million lists within each other": b"\x91" * 1_000_000,
    "tuples within each other": _bomb(1000, 1),
    "sets within each other": _bomb(1000, 2),
    "two payloads": encode(Link(URL), PLENTY) * 2,
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_refused_with_a_reason_and_never_executed(payload: bytes) -> None:
    # Given bytes that no worker wrote
    # When they come out of a queue
    # Then they are refused, in a sentence that ends up in a log
    with pytest.raises(BadPayload) as refused:
        decode(payload)
    assert 0 < len(str(refused.value)) < 1000


@given(_all_links, st.data())
def test_a_payload_that_is_cut_off_is_refused(link: Link, data: st.DataObject) -> None:
    # Given a payload of which the end is missing
    payload = encode(link, PLENTY)
    part = payload[: data.draw(st.integers(0, len(payload) - 1))]
    # When it comes out of a queue
    # Then it is refused
    with pytest.raises(BadPayload):
        decode(part)


@given(st.binary(max_size=200) | st.binary(max_size=60).map(b"\x94\x01\xa1u\xc0".__add__))
@example(b"\x92\x01\xa1u")
def test_random_bytes_are_a_link_or_refused_and_nothing_else(payload: bytes) -> None:
    # Given any bytes
    try:
        # When they come out of a queue
        link = decode(payload)
    except BadPayload:
        # Then they are refused
        return
    # Or they are a link
    assert isinstance(link, Link)


@given(_all_links, st.data())
def test_a_payload_with_a_wrong_byte_is_a_link_or_refused_and_nothing_else(
    link: Link, data: st.DataObject
) -> None:
    # Given a payload of which one byte is wrong
    payload = bytearray(encode(link, PLENTY))
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        # When it comes out of a queue
        back = decode(bytes(payload))
    except BadPayload:
        # Then it is refused
        return
    # Or it is a link
    assert isinstance(back, Link)
