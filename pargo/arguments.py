"""Arguments of commands, checked before anything slow is imported: what is wrong is said at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pargo.errors import UsageError


def choice(name: str, value: str, choices: Iterable[str]) -> str:
    """One of some words.

    Raises:
        UsageError: another word; the message names the nearest and all.
    """
    known = list(choices)
    if value not in known:
        raise UsageError(f"{name}: {value!r} is not known{did_you_mean(value, known)}; choices: {', '.join(known)}")
    return value


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, where one of the known words is near."""
    by_lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def existing(name: str, path: Path) -> Path:
    """A file or folder that is there.

    Raises:
        UsageError: it is not; the message names what has nearly this name.
    """
    try:
        found = path.exists()
    except OSError as error:  # a name that is too long, a folder that nobody may look into
        raise UsageError(f"{name}: cannot read {str(path)[:200]}: {error.strerror}") from None
    if not found:
        raise UsageError(f"{name}: {path} does not exist{_nearest(path)}")
    return path


def existing_file(name: str, path: Path) -> Path:
    """A file that is there and holds something.

    Raises:
        UsageError: it is not there, a folder, or empty.
    """
    if existing(name, path).is_dir():
        raise UsageError(f"{name}: {path} is a folder, expected a file")
    if path.is_file() and not path.stat().st_size:
        raise UsageError(f"{name}: {path} is empty")
    return path


def existing_folder(name: str, path: Path, *, holding: str = "") -> Path:
    """A folder that is there, with a file of this name in it.

    Raises:
        UsageError: it is not there, or no folder, or it does not hold the file.
    """
    if not existing(name, path).is_dir():
        raise UsageError(f"{name}: {path} is a file, expected a folder")
    if holding and not (path / holding).is_file():
        raise UsageError(f"{name}: {path} has no {holding}")
    return path


def new_folder(name: str, path: Path) -> Path:
    """A folder to be made.

    Raises:
        UsageError: something is there already, or its parent is a file.
    """
    if path.exists():
        raise UsageError(f"{name}: {path} exists already: remove it or name another folder")
    return _below_folder(name, path)


def new_file(name: str, path: Path) -> Path:
    """A file to be written, in place of what it held.

    Raises:
        UsageError: it is a folder, or its parent is a file.
    """
    if path.is_dir():
        raise UsageError(f"{name}: {path} is a folder, expected a file to write")
    return _below_folder(name, path)


def read_mapping(name: str, text: str) -> dict[str, Any]:
    """A mapping in JSON.

    Raises:
        UsageError: it is not.
    """
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise UsageError(f"{name}: {text[:100]!r} is no mapping in JSON")
    return data


def read_settings(name: str, text: str) -> dict[str, Any]:
    """Settings of a stage: JSON, or `FILE:NAME` for those of an entry of a JSON file, e.g. of `dvc-params.json`.

    Raises:
        UsageError: neither, or no such file or entry.
    """
    file, colon, entry = text.rpartition(":")
    if not colon or text.lstrip()[:1] in ("{", "[", '"'):
        return read_mapping(name, text)
    path = existing_file(name, Path(file))
    try:
        entries = read_mapping(f"{name}: {path}", path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise UsageError(f"{name}: {path} is no text in UTF-8, and so no JSON") from None
    if entry not in entries:
        raise UsageError(f"{name}: {path} has no entry {entry!r}{did_you_mean(entry, entries)}")
    settings = entries[entry].get("settings") if isinstance(entries[entry], dict) else None
    if not isinstance(settings, dict):
        raise UsageError(f"{name}: {path}: {entry}: settings: expected a mapping")
    return settings


def named_directories(pairs: Iterable[str]) -> dict[str, Path]:
    """`NAME=DIR` options as a mapping, in the given order.

    Raises:
        UsageError: one is no such pair, or a name comes twice.
    """
    directories: dict[str, Path] = {}
    for pair in pairs:
        name, equals, directory = pair.partition("=")
        if not equals or not name or not directory:
            raise UsageError(f"expected NAME=DIR, got {pair!r}")
        if name in directories:
            raise UsageError(f"{name!r} is given twice")
        directories[name] = Path(directory)
    return directories


def _below_folder(name: str, path: Path) -> Path:
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UsageError(f"{name}: {path} cannot be made: {above} is a file")
    return path


def _nearest(path: Path) -> str:
    """What in the same folder has nearly this name."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.with_name(near[0])}?" if near else ""
