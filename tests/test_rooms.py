"""Rooms of the package in one order: what is below knows nothing of what is above, so a reader can start anywhere.

A room is a folder or a single file directly in `pargo/`. Imports inside functions count: they are slower, not weaker.
"""

from __future__ import annotations

import ast
import graphlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up; a room may import from those in the lines above its own. In a line: alphabetical, and apart.
ORDER = """
code errors imports labels layout machine no_effect notes progress units
arguments config files journal project stages statistics
accepted answers estimates fetch kept remote seen
manifest
data made
store
jobs
models
benchmarks captions train
report sources
export graph
plan
commands
cli
__main__
"""


def modules(root: Path) -> dict[str, Path]:
    """The modules of the package `pargo` in a folder, by name."""
    found = {}
    for path in sorted((root / "pargo").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path], *, everywhere: bool = True) -> Iterator[str]:
    """Modules of the package that a file imports; without `everywhere` only those that it needs to be imported."""
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in known else node.module for name in names)
        is_late = isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        )
        if everywhere or not is_late:
            todo += ast.iter_child_nodes(node)


def room(module: str) -> str:
    return module.split(".")[1]


def arrows(root: Path) -> set[tuple[str, str]]:
    """(module, imported module) of different rooms."""
    known = modules(root)
    del known["pargo"]
    found = {(name, other) for name, path in known.items() for other in imports(path, known)}
    return {(name, other) for name, other in found if room(name) != room(other)}


def back(root: Path, order: str = ORDER) -> set[tuple[str, str]]:
    """The arrows that do not run down."""
    level = {name: number for number, line in enumerate(order.split("\n")) for name in line.split()}
    return {(name, other) for name, other in arrows(root) if level[room(other)] >= level[room(name)]}


def test_every_room_has_its_place():
    rooms = {room(name) for name in modules(ROOT) if name != "pargo"}
    assert sorted(ORDER.split()) == sorted(rooms), "ORDER lacks a room, or has one that is gone"
    assert all(line.split() == sorted(line.split()) for line in ORDER.split("\n"))


def test_no_arrow_runs_back_up():
    assert back(ROOT) == set(), "import from a room above: move what is needed below, or the room in ORDER"


def test_no_module_imports_itself_by_way_of_others():
    known = modules(ROOT)
    graph = {name: {*imports(path, known, everywhere=False)} - {name} for name, path in known.items()}
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the circle


@pytest.mark.parametrize(
    "line",
    [
        "from pargo.b.y import thing",
        "from pargo.b import y",
        "import pargo.b.y",
        "def f():\n    from pargo.b import y",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pargo.b import y",
    ],
)
def test_every_kind_of_import_is_seen(tmp_path, line):
    files = defaultdict(str, {"a/x.py": line, "b/y.py": "import json\nfrom pargo.c import one\n", "c.py": "one = 1\n"})
    for name in ("__init__.py", "a/__init__.py", "b/__init__.py", *files):
        (tmp_path / "pargo" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pargo" / name).write_text(files[name], encoding="utf-8")
    assert arrows(tmp_path) == {("pargo.a.x", "pargo.b.y"), ("pargo.b.y", "pargo.c")}
    assert back(tmp_path, "c\nb\na") == set()
    assert back(tmp_path, "c\na\nb") == {("pargo.a.x", "pargo.b.y")}
    assert back(tmp_path, "c\na b") == {("pargo.a.x", "pargo.b.y")}
