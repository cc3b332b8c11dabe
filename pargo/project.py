"""The project that a command works in: that around the folder where it is called, as git finds a repository."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from pargo.code import ROOT
from pargo.errors import UsageError

Seen = Callable[[Path], Path]  # a path that was given where a command was called, as seen from the project
MARKS = ("Snakefile", "pargo/cli.py")  # what a folder holds that is a project


def find_project(start: Path, own: Path = ROOT) -> Path:
    """The nearest folder from `start` upwards that is a project, else the one that this code is part of.

    Args:
        start: where the search begins.
        own: folder that holds the package; of one that was installed elsewhere it is no project.

    Raises:
        UsageError: there is none; the message says where it was looked for.
    """
    for folder in (start, *start.parents, own):
        if all((folder / mark).is_file() for mark in MARKS):
            return folder
    raise UsageError(
        f"no project here: looked in {start} and the folders above it for {' and '.join(MARKS)}; "
        "go to the folder of your clone, and call it there"
    )


def go_to_project(*, own_code: bool = False) -> Seen:
    """Make the project's folder the current one: all paths of the layout are relative to it.

    Args:
        own_code: the command runs the project's graph, whose code must then be this code.

    Returns:
        A path that was given where the command was called, as it is written in the project: relative if inside.

    Raises:
        UsageError: there is no project, or it is another than that of this code.
    """
    here = Path.cwd()
    root = find_project(here)
    if own_code and not root.samefile(ROOT):
        raise UsageError(
            f"this is the project {root}, but this `pargo` is the code of {ROOT}: "
            f"call {root}/.venv/bin/pargo (`make setup` in {root} makes it)"
        )
    if not here.is_relative_to(root):
        print(f"in the project {root}", file=sys.stderr)
    os.chdir(root)

    def seen(path: Path) -> Path:
        if here == root:
            return path
        full = Path(os.path.normpath(here / path.expanduser()))
        return full.relative_to(root) if full.is_relative_to(root) else full

    return seen
