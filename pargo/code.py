"""Which source files a stage depends on: the closure of its imports inside this package.

Snakemake takes these files as inputs of the stage's rule, so a change of a stage's own code reruns it, and a change
of anything else does not. Imports inside functions count too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "pargo"
ROOT = Path(__file__).resolve().parent.parent


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _files(module: str) -> Iterator[Path]:
    """Files that run when a module is imported: its own, and of a.b.c also a/__init__.py and a/b/__init__.py."""
    parts = module.split(".")
    found = (_file(".".join(parts[:depth])) for depth in range(1, len(parts) + 1))
    return (path for path in found if path is not None)


@cache
def _imports(path: Path) -> frozenset[Path]:
    """Files of this package that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return frozenset(file for module in set(_walk(tree)) for file in _files(module))


def _walk(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif (
            isinstance(node, ast.ImportFrom)
            and node.level == 0
            and node.module
            and node.module.split(".")[0] == PACKAGE
        ):
            yield node.module
            # `from pargo.models import vlm` may import a module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def plugin_names(folder: Path) -> tuple[str, ...]:
    """Names of the modules in a package's folder that others find by name, sorted; an underscore in front hides one.

    Nothing is imported.

    Raises:
        ValueError: a file and a folder have the same name, of which Python would see the folder alone.
    """
    found = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    names = sorted(name for name in found if not name.startswith("_"))
    for name in names:
        file, inner = folder / f"{name}.py", folder / name / "__init__.py"
        if file.is_file() and inner.is_file():
            raise ValueError(f"{name!r} is claimed twice: {file} and {inner}")
    return tuple(names)


def import_closure(*modules: str) -> list[Path]:
    """Source files that the modules need, themselves included, relative to the project root and sorted.

    Raises:
        ModuleNotFoundError: a module does not exist in this package.
    """
    for module in modules:
        if _file(module) is None:
            raise ModuleNotFoundError(f"{module}: no such module below {ROOT}")
    files: set[Path] = set()
    todo = {path for module in modules for path in _files(module)}
    while todo:
        files |= todo
        todo = {found for path in todo for found in _imports(path)} - files
    return sorted(path.relative_to(ROOT) for path in files)
