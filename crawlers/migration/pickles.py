"""Opens pickles of plain data, and no others: nothing in them is ever called, built or looked up."""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any, NoReturn

# What the pickle of plain data consists of, in the protocols 4 and 5 that scrapy-redis writes. Left out
# besides all that names, calls or builds: what reserves memory that the pickle itself doesn't take.
_PLAIN = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINGET", "LONG_BINGET"),
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_SET", "ADDITEMS", "FROZENSET"),
    }
)
# A pickle that refers to its parts again and again can stand for far more than it holds.
_MOST_VALUES = 100_000


class RefusedPickle(ValueError):
    """A pickle that isn't plain data, or no request; the text says why, the same for all of a kind."""


class _DataOnly(pickle.Unpickler):
    """A second lock behind the first: it knows no names."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        """Refuses every name."""
        raise RefusedPickle(f"it names {module_name}.{global_name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuses what stands elsewhere."""
        raise RefusedPickle(f"it refers to {pid!r}")


def open_pickle(pickled: bytes) -> Any:
    """The plain data in `pickled`. Raises :class:`RefusedPickle` before anything of it has run.

    Every opcode is looked at before the first one is followed.
    """
    try:
        for opcode, _, _ in pickletools.genops(pickled):
            if opcode.name not in _PLAIN:
                raise RefusedPickle(f"it holds more than data: the opcode {opcode.name}")
        data = _DataOnly(io.BytesIO(pickled)).load()
    except RefusedPickle:
        raise
    except Exception as error:  # a broken pickle raises many kinds
        raise RefusedPickle(f"it is no pickle that can be read: {type(error).__name__}") from None
    _check_size(data)
    return data


def _check_size(data: Any) -> None:
    """Counts each value as often as it is referred to, for so often it would be written out."""
    waiting, values = [data], 0
    while waiting:
        value = waiting.pop()
        values += 1
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += value
        if values + len(waiting) > _MOST_VALUES:
            raise RefusedPickle(f"it stands for more than {_MOST_VALUES:,} values")
