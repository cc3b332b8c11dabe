"""The project's documents as readers see them: headings, links, code, parsed as Markdown."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pargo.code import ROOT

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md", *(ROOT / "docs").glob("*.md"))
)


@dataclass
class Document:
    """What a test looks at. Links are as written; blocks are (language, text)."""

    headings: list[tuple[int, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    blocks: list[tuple[str, str]] = field(default_factory=list)

    @property
    def anchors(self) -> list[str]:
        """One for each heading, as on GitHub: lower case, no signs, hyphens for spaces, a number at a repeated one."""
        seen: Counter[str] = Counter()
        found = []
        for _, title in self.headings:
            name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            found.append(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
        return found


def parse(text: str) -> Document:
    document = Document()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for index, token in enumerate(tokens):
        if token.type == "fence":
            document.blocks.append((token.info.strip(), token.content))
        if token.type == "heading_open":
            document.headings.append((int(token.tag[1]), _plain(tokens[index + 1])))
        for child in token.children or ():
            if child.type == "code_inline":
                document.code.append(child.content)
            document.links += [str(value) for key, value in child.attrs.items() if key in ("href", "src")]
    return document


def _plain(token: Token) -> str:
    return "".join(child.content for child in token.children or ())


@cache
def read(path: str) -> Document:
    """One of `DOCUMENTS`, or another Markdown file of the project."""
    return parse((ROOT / path).read_text(encoding="utf-8"))


@cache
def project_files() -> frozenset[str]:
    """Files that git knows or would take, and the folders they are in."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):  # no git checkout
        listed = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if ".venv" not in path.parts]
    files = {name for name in listed if (ROOT / name).exists()}
    return frozenset(files | {parent.as_posix() for name in files for parent in Path(name).parents} - {"."})
