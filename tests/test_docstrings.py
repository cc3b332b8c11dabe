"""A docstring is read alone, on hover: it says what it is about, and not that it is the same of something else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "pargo"
# begins with another docstring's subject, or with a preposition that has no noun before it
ELLIPTIC = re.compile(r"(?:The same (?!bits|caption)|Same |Of |As above|Likewise|Ditto|And |Also |See )")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of the docstrings of a module's classes and functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield node.lineno, text


def faults(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{line}: {text.splitlines()[0]}"
        for path in sorted(root.rglob("*.py"))
        for line, text in docstrings(path)
        if ELLIPTIC.match(text)
    ]


def test_docstrings_stand_alone():
    assert faults(PACKAGE) == []


def test_what_does_not_stand_alone_is_found(tmp_path):
    body = ["The same of a file.", "Of the model.", "As above.", "The same bits on every machine.", "A file's size."]
    code = "".join(f'class C{number}:\n    def f(self):\n        """{text}"""\n' for number, text in enumerate(body))
    (tmp_path / "a.py").write_text(code, encoding="utf-8")
    assert faults(tmp_path) == [f"a.py:{3 * number + 2}: {body[number]}" for number in range(3)]
