"""A folder that `pargo` takes for a project."""

from pathlib import Path

from pargo.project import MARKS


def make_project(folder: Path) -> Path:
    """Put there what a project is known by."""
    for mark in MARKS:
        (folder / mark).parent.mkdir(parents=True, exist_ok=True)
        (folder / mark).touch()
    return folder
