"""Records of official files and what is read from them; every fault is a PargoError that names file and line."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pargo.errors import PargoError


class Row(NamedTuple):
    """One record of a file, and where it stands, for errors."""

    where: str
    record: dict[str, Any]

    def text(self, key: str) -> str:
        """The text under a key.

        Raises:
            PargoError: the key is missing, or holds no text.
        """
        value = self.value(key)
        if not isinstance(value, str):
            raise PargoError(f"{self.where}: `{key}` is {shorten(value)}, expected a text")
        return clean(value)

    def identifier(self, key: str) -> str:
        """The id under a key; `7`, `7.0` and `"7"` are the same.

        Raises:
            PargoError: the key is missing, or holds neither a whole number nor a text.
        """
        value = self.value(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value.strip():
            return clean(value.strip())
        raise PargoError(f"{self.where}: `{key}` is {shorten(value)}, expected a whole number or a text")

    def value(self, key: str) -> Any:
        """What is under a key; PargoError when there is no such key."""
        if key not in self.record:
            known = ", ".join(map(shorten, list(self.record)[:20]))
            raise PargoError(f"{self.where}: no `{key}`; there are {known or 'no keys'}")
        return self.record[key]


def shorten(value: object, length: int = 60) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}..."


def clean(text: str) -> str:
    """The text with half surrogates, which JSON allows and UTF-8 does not, as replacement characters."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; PargoError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise PargoError(f"cannot read {path}: {error.strerror}") from None


def read_text(path: Path) -> str:
    """A file as text (`decode`); PargoError when it cannot be read or is not UTF-8."""
    return decode(read_bytes(path), str(path))


def is_hidden(name: str) -> bool:
    """Whether a file or a folder above it is hidden, or one that macOS adds to zips: no part of any benchmark."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def list_folder(folder: Path, *suffixes: str) -> list[Path]:
    """What is in a folder and not hidden, of these endings, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and not is_hidden(path.name))


def decode(data: bytes, where: str) -> str:
    """UTF-8 as text, without a byte order mark; PargoError, which begins with `where`, when it is none."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PargoError(f"{where}: not UTF-8: {error.reason} at byte {error.start}") from None


def split_lines(data: bytes, where: str) -> list[str]:
    """The lines of UTF-8, whose ends are those of Python's text files: `\\n`, `\\r\\n` or `\\r`; none of no text.

    Raises:
        PargoError: not UTF-8; begins with `where`.
    """
    text = decode(data, where).replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def load_json(text: str, where: str) -> Any:
    """JSON as Python values; `NaN` is accepted here, and is refused where a number is needed."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PargoError(f"{where}: not valid JSON: {error}") from None


def json_lines(data: bytes, name: str) -> list[Row]:
    """The objects of a JSON Lines file.

    Raises:
        PargoError: it is empty, not UTF-8, or has a line that is no JSON object; names file and line.
    """
    lines = split_lines(data, name)
    if not any(line.strip() for line in lines):
        raise PargoError(f"{name} is empty")
    rows = []
    for number, line in enumerate(lines, start=1):
        where = f"{name}:{number}"
        if not line.strip():
            raise PargoError(f"{where}: empty line, expected a JSON object")
        record = load_json(line, where)
        if not isinstance(record, dict):
            raise PargoError(f"{where}: {shorten(record)}, expected a JSON object")
        rows.append(Row(where, record))
    return rows
