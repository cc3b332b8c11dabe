"""The recipes of CONTRIBUTING, carried out letter by letter: every code block names its file in its first line.

A block whose file exists adds lines to it: before the end of the table that the file holds.
"""

from __future__ import annotations

import re
from pathlib import Path

BLOCK = re.compile(r"```python\n# (?P<path>\S+)\n(?P<text>.*?)```", re.DOTALL)


def blocks(root: Path, section: str) -> dict[str, str]:
    """The code of a section of CONTRIBUTING, e.g. `Adding a projector`, by file."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, rest = text.partition(f"\n## {section}\n")
    assert rest, f"CONTRIBUTING.md has no section {section!r}"
    return {found["path"]: found["text"] for found in BLOCK.finditer(rest.partition("\n## ")[0])}


def add(root: Path, section: str) -> dict[str, int]:
    """Carry out a recipe in a copy of the project: files that were touched, and how many lines each got."""
    touched = {}
    for path, text in blocks(root, section).items():
        file = root / path
        if file.exists():
            before, brace, after = file.read_text(encoding="utf-8").rpartition("\n}\n")
            assert brace, f"{path} holds no table"
            text_after = f"{before}\n{text.rstrip()}{brace}{after}"
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            text_after = text
        file.write_text(text_after, encoding="utf-8")
        touched[path] = len(text.splitlines())
    return touched
