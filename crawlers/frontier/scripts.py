"""Running the frontier's Lua scripts.

The files are package data, read through importlib, so that they are found in an egg as well.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Any

import msgpack
from redis.exceptions import NoScriptError

from .connection import Client


def _source(name: str) -> str:
    return files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")


class Script:
    """One of the scripts. It survives a restart of Redis, which forgets scripts."""

    def __init__(self, name: str, *, library: bool = True) -> None:
        shared = ("keys", "library", "seen") if library else ()
        self._text = "".join(map(_source, (*shared, name)))
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, client: Client, keys: tuple[str, ...], *args: Any) -> Any:
        """Runs the script and returns its reply as it came, strings as bytes."""
        try:
            return await client.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            return await client.eval(self._text, len(keys), *keys, *args)


def pack_input(values: dict[str, Any]) -> bytes:
    """`values` as a script's input. Redis' msgpack knows one type of string, hence no `bin`.

    The texts of errors may hold what is no Unicode; it is written as its code.
    """
    packed: bytes = msgpack.packb(values, use_bin_type=False, unicode_errors="backslashreplace")
    return packed


EXCHANGE = Script("exchange")
JOIN = Script("join")
LEAVE = Script("leave")
PURGE = Script("purge")
CLAIM = Script("claim", library=False)
