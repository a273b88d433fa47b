"""Items, half-filled as they are, and enumerations of a spider's project travel in `meta` and `cb_kwargs`."""

from __future__ import annotations

import enum
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from itemadapter import ItemAdapter
from scrapy import Item, Spider

from crawlers.frontier import register

# The crawler's own classes, but for the project's items and spiders.
_OURS = re.compile(r"crawlers\.(?!items\b|spiders\b)")


def admit(spider: Spider, packages: Iterable[str] = ()) -> None:
    """Register the items and enumerations that the spider's modules have, and those of `packages`.

    A worker that runs the same spider has imported the same.
    """
    for module in _modules(spider, packages):
        for value in list(vars(module).values()):
            if inspect.isclass(value) and not _OURS.match(value.__module__):
                _admit(value)
    _admit_page_methods()


def _modules(spider: Spider, packages: Iterable[str]) -> Iterator[ModuleType]:
    names = {cls.__module__ for cls in type(spider).__mro__ if cls not in (Spider, object)}
    tops = {name.partition(".")[0] for name in packages}
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and (name in names or name.partition(".")[0] in tops):
            yield module


def _admit(cls: Any) -> None:
    if issubclass(cls, enum.Enum):
        register(cls, lambda member: member.name, lambda name: cls[name])
    elif ItemAdapter.is_item_class(cls) and not issubclass(cls, dict):
        register(cls, lambda item: dict(ItemAdapter(item)), lambda fields: _made(cls, fields))


def _made(cls: Any, fields: dict[str, Any]) -> Any:
    """An item with these fields and no others; nothing of its class is called but what makes an empty one."""
    known = ItemAdapter.get_field_names_from_class(cls) or ()
    if any(name not in known for name in fields):
        raise ValueError(f"a {cls.__name__} has no such field")
    if issubclass(cls, Item):
        return cls(fields)
    if hasattr(cls, "model_construct"):  # pydantic
        return cls.model_construct(**fields)
    item = cls.__new__(cls)
    for name, value in fields.items():
        object.__setattr__(item, name, value)
    return item


def _admit_page_methods() -> None:
    """Those of scrapy-playwright, where the spider has imported it."""
    if module := sys.modules.get("scrapy_playwright.page"):
        cls = module.PageMethod
        register(
            cls,
            lambda page: [page.method, list(page.args), dict(page.kwargs)],
            lambda plain: cls(plain[0], *plain[1], **plain[2]),
        )
