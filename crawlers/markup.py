"""HTML as libxml2 takes it in linear time."""

from __future__ import annotations

import re

# libxml2 compares each attribute of an element with all before it. Real elements have a few dozen at most.
_MOST_ATTRIBUTES = 256
_ATTRIBUTE = r"""(?:[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>]*+))?+)"""
# Comments, scripts and styles, where a < begins no element, pass whole.
_CROWDED = re.compile(
    r"(<!--.*?(?:-->|\Z)|<(?P<raw>script|style)\b.*?(?:</(?P=raw)|\Z))"
    rf"|(<[a-z][^\s/>]*+{_ATTRIBUTE}{{0,{_MOST_ATTRIBUTES}}}+){_ATTRIBUTE}*+",
    re.IGNORECASE | re.DOTALL,
)

NEVER_CROWDED = 100_000
"""Characters: a page that isn't longer is left as it is, for it takes 0.1 s at worst."""


def few_attributes(text: str) -> str:
    """`text` without the attributes of an element beyond its first 256."""
    if len(text) <= NEVER_CROWDED:
        return text
    return _CROWDED.sub(_first, text)


def _first(found: re.Match[str]) -> str:
    """A function, so that other threads have their turn between two elements."""
    return found[1] or found[3]
