"""Running the frontier's Lua scripts.

The files are package data, read through importlib, so that they are found in an egg as well.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Any

import msgpack
from redis.exceptions import NoScriptError, ResponseError

from .connection import Client


def _source(name: str) -> str:
    return files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")


_WAIT_MS = 1000  # for replicas, before an exchange is sent again
_INNER = ("manners", "queues", "leasing")
"""With each of these begins a function within the text before it, so that an exchange with nothing in it
takes a sixth less: for a closure Lua finds a local of an outer function at once, and one of the function that
it is made in by a walk over all that closures use there (`luaF_findupval` of Lua 5.1)."""


def _join(names: tuple[str, ...]) -> str:
    texts = [("return (function()\n" if name in _INNER else "") + _source(name) for name in names]
    return "".join(texts) + "\nend)()" * sum(name in _INNER for name in names)


SHARED = ("keys", "counters", "manners", "hosts", "deep", "queues", "library", "seen")
"""What each script is put behind, in this order."""


class Script:
    """One of the scripts. It survives a restart of Redis, which forgets scripts."""

    def __init__(self, name: str, *, behind: tuple[str, ...] = SHARED) -> None:
        self._text = _join((*behind, name))
        self._sha = _sha(self._text)

    async def __call__(self, client: Client, keys: tuple[str, ...], *args: Any) -> Any:
        """Runs the script and returns its reply as it came, strings as bytes."""
        try:
            return await client.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            return await client.eval(self._text, len(keys), *keys, *args)


class WatchfulScript:
    """A script that is told when Redis was restarted: a last argument of "1", else "0".

    A Redis that was restarted, or another that took its place, has forgotten all scripts. With a text of its
    own for each crawl, whoever of its workers comes first finds that out, before any other has done a thing.
    """

    def __init__(self, name: str, *, behind: tuple[str, ...]) -> None:
        self._text = _join((*behind, name))
        self._of_keys: dict[tuple[str, ...], tuple[str, str]] = {}

    async def __call__(self, client: Client, keys: tuple[str, ...], *args: Any, replicas: int = 0) -> Any:
        """Runs the script and returns its reply as it came, strings as bytes; with `replicas` once so many
        have it. Raises redis-py's error NOREPLICAS where they don't in time: it has had its effect then.
        """
        if keys not in self._of_keys:
            text = f"-- {' '.join(keys)}\n{self._text}"
            self._of_keys[keys] = text, _sha(text)
        text, sha = self._of_keys[keys]
        if replicas:
            return await _on_replicas(client, replicas, (sha, text), keys, args)
        try:
            return await client.evalsha(sha, len(keys), *keys, *args, "0")
        except NoScriptError:
            return await client.eval(text, len(keys), *keys, *args, "1")


async def _on_replicas(
    client: Client, replicas: int, script: tuple[str, str], keys: tuple[str, ...], args: tuple[Any, ...]
) -> Any:
    """WAIT speaks of what its own connection wrote, so that both go over one, in one round trip."""
    sha, text = script
    for verb, name, flag in (("EVALSHA", sha, "0"), ("EVAL", text, "1")):
        async with client.pipeline(transaction=False) as pipe:
            pipe.execute_command(verb, name, len(keys), *keys, *args, flag)
            pipe.execute_command("WAIT", replicas, _WAIT_MS)
            reply, have = await pipe.execute(raise_on_error=False)
        if verb == "EVAL" or not isinstance(reply, NoScriptError):
            break
    for outcome in (reply, have):
        if isinstance(outcome, Exception):
            raise outcome
    if have < replicas:
        raise ResponseError(f"NOREPLICAS {have} of {replicas} have what was written")
    return reply


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def pack_input(values: dict[str, Any]) -> bytes:
    """`values` as a script's input. Redis' msgpack knows one type of string, hence no `bin`.

    The texts of errors may hold what is no Unicode; it is written as its code.
    """
    packed: bytes = msgpack.packb(values, use_bin_type=False, unicode_errors="backslashreplace")
    return packed


EXCHANGE = WatchfulScript("exchange", behind=(*SHARED, "news", "leasing"))
JOIN = Script("join")
LEAVE = Script("leave")
PURGE = Script("purge")
CLAIM = Script("claim", behind=())
VISIT = Script("visit")
ROBOTS = Script("robots")
COOKIES = Script("cookies")
RENEW = Script("renew", behind=())
LET_GO = Script("let_go")
PARK = Script("park")
PLAN = Script("plan")
SPILL = Script("spill")
FETCH = Script("fetch")
CUT = Script("cut")
