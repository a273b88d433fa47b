"""Which attribute of the spider a callback is. Only such are queued, by name, and only such come back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial, partialmethod
from types import MethodType
from typing import Any

from scrapy import Spider

from crawlers.frontier import BadPayload, NotPlainData, Unknown

# What scrapy-redis puts into its spiders: methods of a Redis client.
_NOT_CALLBACKS = frozenset({"fetch_data", "count_size"})
_SPIDERS_OWN = frozenset(name for name in vars(Spider) if name not in {"parse", "_parse"})


class Callbacks:
    """Names for the callables that a spider's requests may have, and back.

    A name is that of an attribute, ``parse_book``, or where a class hides one of another, as for
    ``super().parse``, that of its owner as well: ``Base.parse``. The methods of Scrapy's and scrapy-redis'
    base classes, such as `__init__` or `from_crawler`, are no callbacks, whoever writes their names into
    Redis.
    """

    def __init__(self, spider: Spider) -> None:
        self._spider = spider
        self._owners = [
            cls
            for cls in type(spider).__mro__
            if cls not in (Spider, object) and not cls.__module__.startswith("scrapy_redis")
        ]
        # Scrapy calls `_parse` for a request without a callback, which need not be `parse`.
        self._parse_is_default = type(spider)._parse is Spider._parse
        self._names: dict[Any, str] = {}  # of methods of the spider, by their functions
        self._given: dict[str, Any] = {}  # what attributes of the instance were when they were named
        self._found: dict[str, Callable[..., Any]] = {}

    def name_of(self, callback: Callable[..., Any], role: str) -> str | None:
        """The name of `callback`; None for what is called anyway. Raises :class:`NotPlainData` for what no
        attribute of the spider is, so that no other worker could call it.
        """
        function = getattr(callback, "__func__", None)
        if function is not None and callback.__self__ is self._spider:  # type: ignore[attr-defined]
            name = self._names.get(function)
            if name is None:
                name = self._names[function] = self._search(callback, role)
        else:
            name = self._search(callback, role)
        return None if name == "parse" and role == "callback" and self._parse_is_default else name

    def find(self, name: str) -> Callable[..., Any]:
        """What is called so. Raises :class:`Unknown` where a newer spider may have it, and
        :class:`BadPayload` for what is none of a spider's callbacks.
        """
        if (found := self._found.get(name)) is not None:
            return found
        owner, _, attribute = name.rpartition(".")
        found = self._of_owner(owner, attribute) if owner else self._of_spider(attribute)
        if not callable(found) or inspect.isclass(found):
            is_there = not owner and inspect.getattr_static(self._spider, name, None) is not None
            is_name = name.replace(".", "").isidentifier() and not attribute.startswith("__")
            is_ours = is_there or attribute in _SPIDERS_OWN
            error = Unknown if is_name and not is_ours else BadPayload
            raise error(f"the spider has no callback {name[:100]!r}")
        if attribute not in vars(self._spider):
            self._found[name] = found
        return found  # type: ignore[no-any-return]

    # Behind it -----------------------------------------------------------------------------------------

    def _search(self, callback: Callable[..., Any], role: str) -> str:
        called = getattr(callback, "__name__", type(callback).__name__)
        if not inspect.isclass(callback):
            for name in self._attributes(called):
                if _are_same(self._of_spider(name), callback):
                    self._check_not_reassigned(name, callback, role)
                    return name
            for owner in self._owners:
                for name in vars(owner):
                    full = f"{_called(owner, self._owners)}.{name}"
                    if _are_same(self._of_owner(_called(owner, self._owners), name), callback):
                        return full
        raise NotPlainData(
            f"its {role} {called} is not a method of the spider {self._spider.name!r}, nor another attribute,"
            " so that no other worker could call it; what it is to be told travels in cb_kwargs"
        )

    def _attributes(self, first: str) -> Iterator[str]:
        """The names of the spider's attributes, beginning with the likeliest."""
        yield first
        yield from list(vars(self._spider))
        for owner in self._owners:
            yield from vars(owner)
        yield "parse"

    def _check_not_reassigned(self, name: str, callback: Callable[..., Any], role: str) -> None:
        if name in vars(self._spider) and not _are_same(self._given.setdefault(name, callback), callback):
            raise NotPlainData(
                f"its {role} is the attribute {name} of the spider {self._spider.name!r}, which was another"
                " callable before, so that the wrong one might be called"
            )

    def _of_spider(self, name: str) -> Any:
        """The attribute `name` as the spider has it; None for what can't be a callback."""
        if name.startswith("__") or name in _SPIDERS_OWN or name in _NOT_CALLBACKS:
            return None
        own = vars(self._spider)
        if name in own:
            return own[name] if callable(own[name]) else None
        for owner in self._owners:
            if name in vars(owner):
                return self._bound(vars(owner)[name])
        return self._spider.parse if name == "parse" else None

    def _of_owner(self, owner: str, name: str) -> Any:
        """The attribute `name` of the class called `owner`, bound to the spider; None where there is none."""
        if name.startswith("__") or name in _SPIDERS_OWN:
            return None
        for cls in self._owners:
            if _called(cls, self._owners) == owner and name in vars(cls):
                return self._bound(vars(cls)[name])
        return None

    def _bound(self, value: Any) -> Any:
        """Without running a property's code."""
        if not callable(value) and not isinstance(value, (classmethod, partialmethod)):
            return None
        bind = getattr(type(value), "__get__", None)
        return bind(value, self._spider, type(self._spider)) if bind and not inspect.isclass(value) else value


def _called(owner: type, owners: list[type]) -> str:
    """The name of a class, with that of its module where others have the same."""
    alone = sum(cls.__name__ == owner.__name__ for cls in owners) == 1
    return owner.__name__ if alone else f"{owner.__module__}.{owner.__qualname__}"


def _are_same(one: Any, other: Any) -> bool:
    """Whether two callables are one, for methods are made anew each time that they are looked up."""
    if one is other:
        return True
    if isinstance(one, MethodType) and isinstance(other, MethodType):
        return one.__self__ is other.__self__ and _are_one_function(one.__func__, other.__func__)
    if type(one) is partial and type(other) is partial:
        return _are_same(one.func, other.func) and (one.args, one.keywords) == (other.args, other.keywords)
    return False


def _are_one_function(one: Any, other: Any) -> bool:
    """A partialmethod makes a function each time, which tells what it was made by."""
    if one is other:
        return True
    made_by = _made_by(one)
    return made_by is not None and made_by is _made_by(other)


def _made_by(function: Any) -> Any:
    return getattr(function, "__partialmethod__", None) or getattr(function, "_partialmethod", None)
