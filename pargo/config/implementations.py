"""The implementation of a plug-in: a module of the plug-in's name, whose one class derives from an abstract one.

Whether it is there and complete, its source tells: importing it could load torch, and a config is to be checked before.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pargo.code import ROOT
from pargo.config.plugins import Kind
from pargo.errors import PargoError


class Implementations:
    """Where the plug-ins of a kind are implemented.

    Args:
        kind: their settings.
        package: dotted name of the package that holds a module for each.
        base: dotted name of the abstract class that the one class of each module derives from.
        takes: what the class is made with, as positional arguments.
    """

    def __init__(self, kind: Kind[Any], package: str, base: str, *, takes: tuple[str, ...]) -> None:
        self.kind, self.package, self.takes = kind, package, takes
        self._base = tuple(base.rsplit(".", 1))

    def modules(self, name: str) -> tuple[str, str]:
        """Modules of a plug-in's settings and of its implementation: their source decides what it does.

        Raises:
            PargoError: no such plug-in, or an implementation that is missing or lacks something.
        """
        settings = self.kind.module(name)
        self._class(name)
        return settings, f"{self.package}.{name}"

    def checked(self, settings: Any) -> Any:
        """Settings of a plug-in that is there; for the whole config, where pydantic says which field holds them.

        Raises:
            ValueError: the implementation is missing or lacks something.
        """
        try:
            self.modules(getattr(settings, self.kind.tag))
        except PargoError as error:
            raise ValueError(str(error)) from None
        return settings

    def load(self, name: str) -> Any:
        """The class; its module is imported here.

        Raises:
            PargoError: as of `modules`.
        """
        _, module = self.modules(name)
        return getattr(importlib.import_module(module), self._class(name))

    def _class(self, name: str) -> str:
        """Name of the one class in an implementation that is for others."""
        module, base = f"{self.package}.{name}", self._base[1]
        path = _path(module)
        if path is None:
            raise PargoError(
                f"{self.kind.word} {name!r} has settings ({self.kind.module(name)}) but no implementation: "
                f"expected {self.package.replace('.', '/')}/{name}.py"
            )
        where, own = path.relative_to(ROOT), [name for name in _classes(module) if not name.startswith("_")]
        found = [name for name in own if self._base in [place for place, _ in _line(module, name)]]
        if len(found) != 1:
            raise PargoError(
                f"{where}: expected one class that derives from {base}, found {', '.join(found) or 'none'} "
                "(import the base by its name; an underscore before the name of a class keeps it to its file)"
            )
        if lacking := _abstract(module, found[0]):
            raise PargoError(f"{where}: {found[0]} lacks {', '.join(lacking)}, which {base} asks for")
        if not _can_take(len(self.takes), module, found[0]):
            takes = ", ".join(self.takes)
            raise PargoError(f"{where}: {found[0]} is made with ({takes}), but its __init__ takes others")
        return found[0]


def _abstract(module: str, name: str) -> list[str]:
    """Methods that a class has from its bases as abstract ones alone."""
    whole: dict[str, bool] = {}
    for _, node in _line(module, name):
        for part in node.body:
            if isinstance(part, ast.FunctionDef):
                marks = [ast.unparse(mark).rsplit(".", 1)[-1] for mark in part.decorator_list]
                whole.setdefault(part.name, "abstractmethod" not in marks)
            elif isinstance(part, ast.Assign):
                for target in part.targets:
                    whole.setdefault(ast.unparse(target), True)
    return sorted(name for name, is_whole in whole.items() if not is_whole)


def _can_take(number: int, module: str, name: str) -> bool:
    """Whether a class's constructor takes so many positional arguments, and needs no other."""
    parts = [part for _, node in _line(module, name) for part in node.body if isinstance(part, ast.FunctionDef)]
    made = next((part.args for part in parts if part.name == "__init__"), None)
    if made is None:
        return number == 0
    places = len(made.posonlyargs + made.args) - 1  # without self
    keywords = None in made.kw_defaults  # None stands for a keyword without a default
    return not keywords and places - len(made.defaults) <= number and (number <= places or made.vararg is not None)


def _line(module: str, name: str) -> Iterator[tuple[tuple[str, str], ast.ClassDef]]:
    """A class and those of this project that it derives from, nearest first, with their modules and names."""
    node = _classes(module).get(name)
    if node is None:
        return
    yield (module, name), node
    for base in node.bases:
        written = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
        if written in _classes(module):
            yield from _line(module, written)
        elif written in (imported := _imported(module)):
            yield from _line(*imported[written])


def _classes(module: str) -> dict[str, ast.ClassDef]:
    path = _path(module)
    return _source(path).classes if path else {}


def _imported(module: str) -> dict[str, tuple[str, str]]:
    path = _path(module)
    return _source(path).imported if path else {}


def _path(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


class _Source(NamedTuple):
    """What a file defines at its top level, and imports anywhere.

    Args:
        classes: by name.
        imported: where its names are from: `from a import B as C` is `C: (a, B)`.
    """

    classes: dict[str, ast.ClassDef]
    imported: dict[str, tuple[str, str]]


@cache
def _source(path: Path) -> _Source:
    """Read once: the rules ask for every job."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise PargoError(f"{path.relative_to(ROOT)}:{error.lineno}: {error.msg}") from None
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return _Source(
        {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)},
        {alias.asname or alias.name: (node.module or "", alias.name) for node in nodes for alias in node.names},
    )
