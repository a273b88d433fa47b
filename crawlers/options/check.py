"""The settings of a user, compared with the table."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from scrapy.settings import SETTINGS_PRIORITIES, default_settings

from .kinds import Pattern
from .table import KINDS, OURS, THEIRS

if TYPE_CHECKING:
    from collections.abc import Container

    from scrapy.settings import BaseSettings

_PREFIXES = ("FRONTIER_", "MONGO_", "REDIS_")
_CLOSE, _VERY_CLOSE = 0.75, 0.9


class BadSetting(ValueError):
    """A setting that can't be used; the text names it and says what it may be."""


def check(settings: BaseSettings) -> list[str]:
    """A sentence for each of `settings` that can't be used: which, what it may be, what it is."""
    complaints = (
        (name, kind.complaint(settings.get(name))) for name, kind in KINDS.items() if name in settings
    )
    return [f"{name} {complaint}" for name, complaint in complaints if complaint]


def ensure_all(settings: BaseSettings) -> None:
    """Gives what is missing its default. Raises :class:`BadSetting` for what can't be used."""
    for name, setting in OURS.items():
        if name not in settings and setting.default is not None and not name.startswith("REDIS_"):
            settings.set(name, setting.default, "default")
    if wrong := check(settings):
        raise BadSetting(". ".join(wrong))


def ensure_key(name: str, value: Any) -> str:
    """The pattern `value` of a key. Raises :class:`BadSetting` where it is none."""
    if wrong := Pattern("name").complaint(value):
        raise BadSetting(f"{name} {wrong}")
    return str(value)


def ensure_number(name: str, said: str, value: Any) -> float:
    """`value` as that of the setting `name`. Raises :class:`BadSetting`, which calls it as `said`."""
    if wrong := KINDS[name].complaint(value):
        raise BadSetting(f"{said} {wrong}")
    return float(value)


def unknown(settings: BaseSettings, also: Container[str] = ()) -> list[str]:
    """A sentence for each that looks like a setting of ours and is none, nor `also` known."""
    known = {*KINDS, *THEIRS}
    said = []
    for name in settings:
        if (
            (settings.getpriority(name) or 0) <= SETTINGS_PRIORITIES["default"]
            or name in known
            or name in also
        ):
            continue
        if not isinstance(name, str) or hasattr(default_settings, name):
            continue
        ours = name.startswith(_PREFIXES)
        close = get_close_matches(name, known, n=1, cutoff=_CLOSE if ours else _VERY_CLOSE)
        if close:
            said.append(f"{name} is no setting, and has no effect: did you mean {close[0]}?")
        elif ours:
            said.append(f"{name} is no setting of this project, and has no effect")
    return said
