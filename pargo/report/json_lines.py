"""On which lines of a JSON file an entry stands."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]

from pargo.errors import PargoError

_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


def lines_of(text: str, keys: str) -> tuple[int, int]:
    """First and last line, counted from 1, of the value behind keys with dots between them: `tasks.count.score`.

    A key may have dots itself. Without keys it is the whole file.

    Raises:
        PargoError: there is no such entry.
    """
    position = _skip(text, 0)
    rest: Sequence[str] = keys.split(".") if keys else []
    while rest:
        position, rest = _entry(text, position, rest, keys)
    _, end = _DECODER.raw_decode(text, position)
    return text.count("\n", 0, position) + 1, text.count("\n", 0, end) + 1


def _entry(text: str, position: int, keys: Sequence[str], wanted: str) -> tuple[int, Sequence[str]]:
    """Where the value of an object's entry begins, and the keys that are left."""
    if text[position : position + 1] == "{":
        position = _skip(text, position + 1)
        while text[position] == '"':
            name, position = scanstring(text, position + 1)
            position = _skip(text, _skip(text, position) + 1)  # a colon
            parts = name.split(".")
            if list(keys[: len(parts)]) == parts:
                return position, keys[len(parts) :]
            _, position = _DECODER.raw_decode(text, position)
            position = _skip(text, position)
            if text[position] != ",":
                break
            position = _skip(text, position + 1)
    raise PargoError(f"no entry {'.'.join(keys)!r} of {wanted!r}")


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None
    return found.end()
