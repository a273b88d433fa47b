"""Text from anywhere, as it may stand in a log or on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with what isn't printable as its code: it begins no line of its own, moves no cursor, colours
    nothing and turns no direction of writing.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _code(c) for c in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines, which stay lines."""
    return "\n".join(map(printable, text.split("\n")))


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
