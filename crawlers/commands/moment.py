"""Spans of time and numbers of things, for people to read."""

from __future__ import annotations

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def span(ms: int) -> str:
    """A span such as "3.2 s" or "2 h"; "" for none at all."""
    for unit_ms, unit in _UNITS:
        if ms >= unit_ms:
            return f"{ms / unit_ms:.3g} {unit}"
    return f"{ms} ms" if ms > 0 else ""


def ago(ms: int) -> str:
    """How long ago something was."""
    return f"{span(ms)} ago" if ms >= 1000 else "just now"


def counted(number: int, thing: str) -> str:
    """So many of a thing: "1 request", "2,000 requests"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
