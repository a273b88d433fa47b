"""Data flows one way through the rooms: each imports only the rooms before it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import ROOT

# From the first to the last. A new room takes its place here.
ROOMS = (
    "pushed",
    "options",
    "failures",
    "frontier",
    "messages",
    "retrying",
    "redis_spiders",
    "intake",
    "values",
    "items",
    "mongo",
    "deep",
    "heartbeat",
    "links",
    "markup",
    "scheduler",
    "downloads",
    "fast",
    "spiders",
    "pipelines",
    "migration",
    "commands",
)
PACKAGE = ROOT / "crawlers"
# The wiring, which knows the rooms by their names only.
WIRING = {"__init__", "settings"}


def _rooms() -> dict[str, list[Path]]:
    """The modules of each room, be it a package or a single module."""
    entries = {entry.stem: entry for entry in PACKAGE.iterdir() if entry.name != "__pycache__"}
    return {
        name: sorted(entry.rglob("*.py")) if entry.is_dir() else [entry] for name, entry in entries.items()
    }


def _imports(module: Path) -> Iterator[str]:
    """The full names of all modules that `module` imports, those for type checkers included."""
    package = module.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _rooms_used(module: Path) -> set[str]:
    """The rooms from which `module` imports."""
    return {name.split(".")[1] for name in _imports(module) if name.startswith(f"{PACKAGE.name}.")}


def test_each_module_is_in_a_room_that_has_its_place() -> None:
    # Given all that is in the package
    # When it is compared with the rooms and the wiring
    # Then nothing is left over
    assert set(_rooms()) == {*ROOMS, *WIRING}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_before_it(room: str) -> None:
    # Given the modules of a room, and the rooms that it may know
    known = set(ROOMS[: ROOMS.index(room) + 1])
    # When their imports are read
    strangers = {module.name: _rooms_used(module) - known for module in _rooms()[room]}
    # Then there are no others among them
    assert {name: rooms for name, rooms in strangers.items() if rooms} == {}


def test_the_wiring_imports_no_room() -> None:
    # Given the modules that belong to no room
    # When their imports are read
    # Then they name the rooms, but import none
    assert [_rooms_used(PACKAGE / f"{name}.py") for name in sorted(WIRING)] == [set(), set()]


def test_the_frontier_knows_nothing_of_scrapy() -> None:
    # Given a new interpreter
    modules = ", ".join(
        ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for module in _rooms()["frontier"]
    )
    program = f"import sys, {modules}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    # When all of the frontier is imported
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    # Then neither Scrapy nor anything of its kind has come with it
    loaded = set(result.stdout.split())
    assert "redis" in loaded
    assert loaded & {"scrapy", "scrapy_redis", "twisted", "pymongo", "itemadapter"} == set()
