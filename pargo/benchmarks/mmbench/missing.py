"""Which cells of a table read as missing: those that pandas takes for it, with which the official tools read tables."""

from __future__ import annotations

import string
from collections.abc import Mapping

# of pandas 2 and later, as a whole cell; pandas 1 read `None` as text
MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "n/a", "NA", "NULL", "null", "None"}
    | {"NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
)
NONE = "None"  # the one of them that people write as an option


def present(text: str) -> str:
    """The text, or nothing where it reads as missing."""
    return "" if text in MISSING else text


def read_options(cells: Mapping[str, str]) -> dict[str, str]:
    """The options of a row by letter, without those that are missing; the others keep their letters.

    We differ from the official tools on purpose in one point: a single `None` is kept, and the model is shown it,
    as it may be the right answer. Two of them in a row are no options. Parsers leave it out (`seen_options`).
    """
    texts = {letter: cells.get(letter, "") for letter in string.ascii_uppercase}
    one_none = sum(text == NONE for text in texts.values()) == 1
    return {letter: text for letter, text in texts.items() if present(text) or (one_none and text == NONE)}


def seen_options(options: Mapping[str, str]) -> dict[str, str]:
    """The options that the official tools see: without one that reads `None`."""
    return {letter: text for letter, text in options.items() if present(text)}
