"""What a plug-in's implementation must hold, checked in its source, so that nothing heavy is imported for it."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from pargo.errors import PargoError


@cache
def defined_in(module: str) -> frozenset[str] | None:
    """Names that a module's source defines or imports at its top level; None where there is no such module.

    Raises:
        PargoError: it is no Python; names file and line.
    """
    path = _file(module)
    if path is None:
        return None
    names: set[str] = set()
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except SyntaxError as error:
        raise PargoError(f"{path}:{error.lineno}: {error.msg}") from None
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(found.id for target in targets for found in ast.walk(target) if isinstance(found, ast.Name))
    return frozenset(names)


def check_implementation(plugin: str, needed: Mapping[str, Collection[str]]) -> None:
    """Raise PargoError unless all modules are there and define what is needed of them.

    Args:
        plugin: what needs them, e.g. `benchmark 'mme'`.
        needed: dotted name of a module -> names that it must define.
    """
    for module, names in needed.items():
        defined = defined_in(module)
        if defined is None:
            raise PargoError(f"{plugin} has settings, but no module {module}; expected it to define {_listed(names)}")
        if missing := [name for name in names if name not in defined]:
            raise PargoError(f"{plugin}: {module} does not define {_listed(missing)}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _file(module: str) -> Path | None:
    """The file of a module; packages above it are imported, it is not."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return None if found is None or found.origin is None else Path(found.origin)
