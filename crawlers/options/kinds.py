"""What a setting may be. A kind says what is wrong with a value, or None."""

from __future__ import annotations

import codecs
import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from numbers import Real
from typing import Any, Protocol

from scrapy.utils.misc import load_object

_MOST_SHOWN = 80  # characters of a value


class Kind(Protocol):
    """What a setting may be."""

    def complaint(self, value: Any) -> str | None:
        """What follows the setting's name in a sentence about a `value` that can't be; None if it can."""


def shown(value: object) -> str:
    """`value` as a sentence shows it: in one line, and not longer than need be."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _must(what: str, value: object) -> str:
    return f"must be {what}, not {shown(value)}"


def number_of(value: object, *, whole: bool = False) -> float | None:
    """`value` as Scrapy's `getint` or `getfloat` would read it; None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (str, Real)):
        return None
    try:
        number: float = int(value) if whole and isinstance(value, str) else float(value)
        finite = math.isfinite(number)
    except (ValueError, OverflowError):
        return None
    return number if finite and (not whole or number == int(number)) else None


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `least` to `most`, both included, of `unit`."""

    least: float
    most: float
    unit: str = ""
    whole: bool = False

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        number = number_of(value, whole=self.whole)
        if number is not None and self.least <= number <= self.most:
            return None
        kind = f"a {'whole ' * self.whole}number{' of ' * bool(self.unit)}{self.unit}"
        return _must(f"{kind} from {self.least:,g} to {_plain(self.most)}", value)


def _plain(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:,g}"


def whole(least: int, most: int, unit: str = "") -> Number:
    """A whole number from `least` to `most`."""
    return Number(least, most, unit, whole=True)


@dataclass(frozen=True, slots=True)
class Flag:
    """True or False, also as Scrapy's command line gives them."""

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        text = str(value)
        right = isinstance(value, (bool, int, str)) and text in ("True", "true", "False", "false", "1", "0")
        return None if right else _must("True or False", value)


@dataclass(frozen=True, slots=True)
class Word:
    """One of some words, or True or False where `flags` say so."""

    words: tuple[str, ...]
    flags: bool = False

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        if value in self.words or (self.flags and Flag().complaint(value) is None):
            return None
        if self.flags:
            return _must(f"{', '.join(self.words)}, True or False", value)
        return _must(f"one of {', '.join(self.words)}", value)


@dataclass(frozen=True, slots=True)
class Text:
    """Text without line breaks and other control characters, for it goes into headers, logs and keys."""

    optional: bool = False
    secret: bool = False

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`; what is `secret` is never shown."""
        if self.optional and value is None:
            return None
        text = os.fspath(value) if isinstance(value, os.PathLike) else value
        if isinstance(text, str) and all(c.isprintable() or c == "\t" for c in text):
            return None
        return "must be text in one line" if self.secret else _must("text in one line", value)


@dataclass(frozen=True, slots=True)
class Statuses:
    """HTTP statuses, as a list or separated by commas."""

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        one = whole(100, 599)
        if (
            all(one.complaint(status) is None for status in _listed(value) or ())
            and _listed(value) is not None
        ):
            return None
        return _must("a list of HTTP statuses, such as 429,503", value)


def _listed(value: Any) -> list[Any] | None:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if value else []
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else None


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts, as a list or separated by commas."""

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        texts = _listed(value)
        right = texts is not None and not any(map(Text().complaint, texts))
        return None if right else _must("a list of names", value)


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks of IP addresses, as a list or separated by commas."""

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        networks = _listed(value)
        try:
            right = networks is not None and all(
                ip_network(str(one).strip(), strict=False) for one in networks
            )
        except ValueError:
            right = False
        return None if right else _must("a list of networks, such as 10.0.0.0/8,fd00::/8", value)


@dataclass(frozen=True, slots=True)
class Words:
    """Any of some words, as a list or separated by commas."""

    words: tuple[str, ...]

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        said = _listed(value)
        if said is not None and all(one in self.words for one in said):
            return None
        return _must(f"a list of any of {', '.join(self.words)}", value)


@dataclass(frozen=True, slots=True)
class Classes:
    """Classes below `base`, or paths of such, as a list or separated by commas; one alone where `one`."""

    base: type = object
    one: bool = False

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        paths = [value] if self.one else _listed(value)
        if paths is None:
            return _must("a list of paths of classes", value)
        return next(filter(None, map(self._complaint, paths)), None)

    def _complaint(self, path: Any) -> str | None:
        kind = (
            "the path of a class"
            if self.base is object
            else f"the path of a subclass of {self.base.__name__}"
        )
        try:
            loaded = load_object(path)
        except (ImportError, NameError, ValueError, TypeError, AttributeError) as error:
            return f"{_must(kind, path)}: {error}"
        if self.base is object or (isinstance(loaded, type) and issubclass(loaded, self.base)):
            return None
        return _must(kind, path)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A key in Redis in which ``%(name)s`` stands for a name; no other use of % has a meaning."""

    name: str
    optional: bool = False

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        if self.optional and not value:
            return None
        wanted = f"a key in which %({self.name})s stands for the crawl, and %% for a %"
        try:
            text = value % {self.name: "crawl"} if isinstance(value, str) else ""
        except (KeyError, ValueError, TypeError):
            text = ""
        right = bool(text) and Text().complaint(text) is None
        return None if right else _must(wanted, value)


@dataclass(frozen=True, slots=True)
class Map:
    """A map, on a command line as JSON; where there are `kinds`, its values are maps of these.

    What is `secret` is never shown.
    """

    kinds: tuple[tuple[str, Kind], ...] = ()
    secret: bool = False

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        wanted = "a map, on a command line as JSON"
        if value is None:
            return None
        try:
            given = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            given = None
        if not isinstance(given, Mapping):
            return f"must be {wanted}" if self.secret else _must(wanted, value)
        return next(filter(None, (self._complaint(name, each) for name, each in given.items())), None)

    def _complaint(self, name: Any, value: Any) -> str | None:
        if not self.kinds:
            return None
        if not isinstance(value, Mapping):
            return f"{_must('a map of maps', value)} for {shown(name)}"
        for key, kind in self.kinds:
            if key in value and (wrong := kind.complaint(value[key])):
                return f"can't be used, {shown(key)} of {shown(name)} {wrong}"
        return None


@dataclass(frozen=True, slots=True)
class WriteConcern:
    """How many servers must have a document, or a tag of theirs."""

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        number = number_of(value)
        if number is None:
            right = isinstance(value, str) and bool(value) and value.isprintable()
            return (
                None if right and "." not in value else _must("majority, a number of servers or a tag", value)
            )
        if number < 1:
            return f"must be at least 1, not {shown(value)}: 0 never learns of a failure"
        return None if number == int(number) <= 50 else _must("a whole number of servers from 1 to 50", value)


@dataclass(frozen=True, slots=True)
class Level:
    """A level of Python's logging, by name or number."""

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        names = logging.getLevelNamesMapping()
        if value in names or (isinstance(value, int) and not isinstance(value, bool)):
            return None
        return _must(
            f"one of {', '.join(name for name in names if name not in ('NOTSET', 'WARN', 'FATAL'))}", value
        )


@dataclass(frozen=True, slots=True)
class Encoding:
    """The name of an encoding of text."""

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        try:
            codecs.lookup(value or "utf-8")
        except (LookupError, TypeError, ValueError):
            return _must("the name of an encoding, such as utf-8", value)
        return None


@dataclass(frozen=True, slots=True)
class NewFile:
    """The path of a file that can be written, now or later; None for none."""

    def complaint(self, value: Any) -> str | None:
        """See :class:`Kind`."""
        if not value:
            return None
        try:
            path = os.path.abspath(os.fspath(value))
            folder = os.path.dirname(path)
            right = os.access(folder, os.W_OK) and os.path.isdir(folder) and not os.path.isdir(path)
            right = right and (not os.path.exists(path) or os.access(path, os.W_OK))
        except (TypeError, ValueError):
            right = False
        return None if right else _must("the path of a file that can be written", value)
