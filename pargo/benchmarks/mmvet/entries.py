"""MM-Vet's official files are JSON objects by question id; they are read with the line of every entry."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from pargo.errors import PargoError

_SPACE = re.compile(r"[ \t\n\r]*")


class Entry(NamedTuple):
    """One id and its value; `where` is `file:line` of the id."""

    key: str
    value: Any
    where: str


def parse_entries(text: str, name: str) -> list[Entry]:
    """The entries of a JSON object, in the file's order.

    Raises:
        PargoError: not one JSON object, a key twice (at any depth), or text with half a surrogate pair; names the line.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_without_repeats)
    entries: dict[str, Entry] = {}
    position, line, counted = _skip(text, 0), 1, 0

    def fail(message: str) -> PargoError:
        return PargoError(f"{name}:{text.count(chr(10), 0, position) + 1}: {message}")

    if text[position : position + 1] != "{":
        raise fail("expected a JSON object, `{id: ...}`")
    position = _skip(text, position + 1)
    while text[position : position + 1] != "}" or entries:
        line, counted = line + text.count("\n", counted, position), position
        where = f"{name}:{line}"
        if text[position : position + 1] != '"':
            raise fail("expected an id in double quotes")
        try:
            key, position = decoder.raw_decode(text, position)
            position = _skip(text, position)
            if text[position : position + 1] != ":":
                raise fail(f"expected `:` after {key!r}")
            value, position = decoder.raw_decode(text, _skip(text, position + 1))
            json.dumps([key, value], ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            raise PargoError(f"{name}:{error.lineno}: not valid JSON: {error.msg}") from None
        except UnicodeEncodeError:
            raise PargoError(f"{where}: a text holds half of a surrogate pair, which is no character") from None
        except (ValueError, RecursionError) as error:
            raise PargoError(f"{where}: {error}") from None
        if key in entries:
            raise PargoError(f"{where}: id {key!r} twice; the first is at line {entries[key].where.rpartition(':')[2]}")
        entries[key] = Entry(key, value, where)
        position = _skip(text, position)
        if text[position : position + 1] == "}":
            break
        if text[position : position + 1] != ",":
            raise fail("expected `,` or `}`")
        position = _skip(text, position + 1)
    position = _skip(text, position + 1)
    if position < len(text):
        raise fail("more text after the JSON object")
    return list(entries.values())


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} twice in one object")
        found[key] = value
    return found
