"""Names of files that somebody else made up."""

from __future__ import annotations

from pathlib import PurePosixPath


def leads_out(name: str, *, by_name: bool = True) -> bool:
    """Is a name no place below a folder, on any system? `by_name`: a file will be named so."""
    path = PurePosixPath(name)
    wrong = "\\\0:" if by_name else "\\\0"
    return path.is_absolute() or ".." in path.parts or not path.parts or any(letter in name for letter in wrong)
