"""Which source files decide what a stage computes, and what they mean: the code that an artifact was made by.

A stage's code is the closure of its imports inside this package, imports inside functions too. Of each file its meaning
counts: comments, docstrings and formatting change nothing, nor do the fields that a settings class declares, whose
values are compared themselves. Modules that only talk to people are left out (`ONLY_TALK`).
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = "pargo"
ROOT = Path(__file__).resolve().parent.parent

# What they do never reaches an artifact: tests/train/test_only_talk.py trains without them, to the same bytes.
ONLY_TALK = tuple(Path(PACKAGE, name) for name in ("errors.py", "progress.py", "train/events.py", "train/show.py"))
NO_MEANING = ("ctx", "kind", "type_comment", "type_ignores")  # fields of Python's syntax tree
NO_SETTINGS = ("NamedTuple", "Protocol", "TypedDict", "ABC")  # bases of classes whose fields are code


class _Source(NamedTuple):
    """What is read of a source file.

    Args:
        meaning: hash of its syntax tree.
        imports: modules of this package that it may import, by name.
    """

    meaning: str
    imports: tuple[str, ...]


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


def code_hash(files: Iterable[Path]) -> str:
    """One hash of the names and meanings of source files; of files that are not Python, of their contents.

    Args:
        files: paths relative to the project root, as `import_closure` gives them.
    """
    return hash_of_meanings(meanings(files))


def meanings(files: Iterable[Path]) -> dict[str, str]:
    """What source files mean, by path; see `code_hash`."""
    return {path.as_posix(): _meaning_of(ROOT / path) for path in files}


def hash_of_meanings(files: dict[str, str]) -> str:
    """One hash of source files whose meanings are known, by path; see `code_hash`."""
    return hashlib.sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def meaning(path: str, data: bytes) -> str:
    """Hash of what a source file means; of a file that is not Python, of its bytes.

    Args:
        path: relative to the project root.
        data: its content.
    """
    return _parse(path, data).meaning if path.endswith(".py") else hashlib.sha256(data).hexdigest()


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
    return (path for path in found if path is not None and path.relative_to(ROOT) not in ONLY_TALK)


@cache
def _imports(path: Path) -> frozenset[Path]:
    """Files of this package that a file imports."""
    return frozenset(file for module in _source(path).imports for file in _files(module))


@cache
def _meaning_of(path: Path) -> str:
    if path.suffix == ".py":
        return _source(path).meaning
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _source(path: Path) -> _Source:
    data = path.read_bytes()
    name, known = path.relative_to(ROOT).as_posix(), _known()
    key = hashlib.sha256(name.encode() + b"\0" + data).hexdigest()
    if key not in known:
        known[key] = _parse(name, data)
    return known[key]


@cache
def _known() -> dict[str, _Source]:
    """What was read of source files before, by a hash of name and content; another version of this file knows none."""
    try:
        read = json.loads(_memory().read_text(encoding="utf-8"))
        return {key: _Source(meaning, tuple(imports)) for key, (meaning, imports) in read.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


@cache
def _memory() -> Path:
    return ROOT / ".pargo" / f"code-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]}.json"


def remember() -> None:
    """Keep what was read of today's source files for the next process; where that cannot be, it reads them again."""
    read = {key: list(source) for key, source in _known().items()}
    with contextlib.suppress(OSError):
        text = json.dumps(read)
        if not _memory().is_file() or _memory().stat().st_size != len(text):
            _memory().parent.mkdir(parents=True, exist_ok=True)
            temporary = _memory().with_suffix(f".{os.getpid()}")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(_memory())


def _parse(path: str, data: bytes) -> _Source:
    try:
        tree = ast.parse(data, filename=path)
    except SyntaxError:  # Python says where, as soon as it is imported
        return _Source(hashlib.sha256(data).hexdigest(), ())
    declared = path.startswith(f"{PACKAGE}/config/")
    text = _text(tree, declared)
    return _Source(hashlib.sha256(text.encode()).hexdigest(), tuple(sorted(set(_walk(tree)))))


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


def _text(node: object, declared: bool) -> str:
    """A syntax tree as text that is the same in all versions of Python: `ast.dump` is not.

    Args:
        node: a tree, a list of them, or a value.
        declared: leave out the fields of settings classes.
    """
    if isinstance(node, list):
        return f"[{','.join(_text(item, declared) for item in node if not _does_nothing(item))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and declared and isinstance(node, ast.ClassDef) and _is_settings(node):
            value = [item for item in value if not _is_field(item)]
        if name not in NO_MEANING and value is not None and value != []:
            parts.append(f"{name}={_text(value, declared)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _does_nothing(node: object) -> bool:
    """Is it a statement without effect: a docstring, another bare constant, or `pass`?"""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _is_field(node: ast.AST) -> bool:
    """Does a statement of a settings class declare a field? Constants of the class, `ClassVar`, are no fields."""
    if not isinstance(node, ast.AnnAssign):
        return False
    written = node.annotation
    text = written.value if isinstance(written, ast.Constant) else ast.unparse(written)
    return str(text).partition("[")[0].rpartition(".")[2] != "ClassVar"


def _is_settings(node: ast.ClassDef) -> bool:
    """Does a class of pargo/config declare settings? All classes with a base do, but for those that are plain code."""
    bases = {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}
    return bool(bases) and bases.isdisjoint(NO_SETTINGS) and not node.decorator_list
