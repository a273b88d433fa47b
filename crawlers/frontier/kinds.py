"""Which values beyond plain data may travel in `meta` and `cb_kwargs`, and as what.

A name in a payload is only ever looked up here: whoever writes into Redis can make nothing but these of it.

    from crawlers.frontier import register
    register(PageMethod, lambda p: [p.method, p.args, p.kwargs], lambda v: PageMethod(v[0], *v[1], **v[2]))

in a module that all workers import, as the spider's, admits another class.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Kind:
    """A class whose values travel as the plain data that `to_plain` makes of them."""

    name: str
    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Opaque:
    """A value as it travels, for whoever doesn't need it: the name of its kind, and its data."""

    name: str
    plain: Any


_by_class: dict[type, Kind] = {}
_by_name: dict[str, Kind] = {}


def register(
    cls: type,
    to_plain: Callable[[Any], Any],
    from_plain: Callable[[Any], Any],
    name: str | None = None,
) -> None:
    """Admit values of exactly the class `cls`, under its module and name unless another `name` is given.

    `to_plain` gives plain data, or values of other kinds. `from_plain` gets that back, or whatever somebody
    wrote into Redis, and raises ValueError or TypeError where it is no good.
    """
    kind = Kind(name or f"{cls.__module__}:{cls.__qualname__}", to_plain, from_plain)
    _by_class[cls] = _by_name[kind.name] = kind


def kind_of(value: Any) -> Kind | None:
    """The kind of `value`, None where its class isn't registered."""
    return _by_class.get(type(value))


def kind_named(name: str) -> Kind | None:
    """The kind that a payload names, None where there is none."""
    return _by_name.get(name)


register(Decimal, str, Decimal, "decimal")
register(UUID, str, UUID, "uuid")
register(datetime.time, datetime.time.isoformat, datetime.time.fromisoformat, "time")
register(
    datetime.timedelta,
    lambda value: [value.days, value.seconds, value.microseconds],
    lambda parts: datetime.timedelta(*parts),
    "timedelta",
)
register(complex, lambda value: [value.real, value.imag], lambda parts: complex(*parts), "complex")
register(type(Path()), str, Path, "path")
register(PurePosixPath, str, PurePosixPath, "posixpath")
register(PureWindowsPath, str, PureWindowsPath, "windowspath")
