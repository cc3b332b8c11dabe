"""Annotations of an image: a caption that says them all, and the facts that they are.

A record's annotations are `objects`, each with `shape`, `color` and `cell` (its place), and a `word` with `text` and
`cell`, as the source `scenes` writes them. What is not known is null.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

from pargo.errors import PargoError

Kind = Literal["existence", "count", "color", "shape", "place", "text"]
Facts = Mapping[Kind, Counter[tuple[str, ...]]]
KINDS: tuple[Kind, ...] = ("existence", "count", "color", "shape", "place", "text")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
WORD = "word"  # stands for the shape of a word, where places are told


class Part(NamedTuple):
    """A part of a caption: a word or some, the space before them included, and the kind of fact that they say."""

    text: str
    kind: Kind | None = None


def describe(record: Mapping[str, Any]) -> str:
    """The caption of a record, e.g. `two shapes: red square top left, blue circle bottom right, word cat top right.`

    The form is the paper's for ParGoCap: a global sentence, then partial details. Empty when there is nothing to say.
    """
    return "".join(part.text for part in caption_parts(record)).removeprefix(" ")


def caption_parts(record: Mapping[str, Any]) -> list[Part]:
    """The parts of a caption, in order; a space stands before the first of them, too."""
    details = [_parts(color=item["color"], shape=item["shape"], place=item.get("cell")) for item in record["objects"]]
    if word := record["word"]:
        details.append([Part(f" {WORD}"), *_parts(text=word["text"], place=word.get("cell"))])
    said = [parts for parts in details if parts]
    if not said:
        return []
    count = len(record["objects"])
    found = [Part(f" {_number(count)}", "count"), Part(f" shape{'' if count == 1 else 's'}:"), *said[0]]
    for parts in said[1:]:
        found += [Part(","), *parts]
    return [*found, Part(".")]


def facts_of(record: Mapping[str, Any], where: str) -> Facts:
    """What is to be seen, by kind, each fact as often as it is there.

    `existence`: a shape is there at all; `count`: the number of objects, in words; `shape`: that of an object;
    `color`: an object's color and shape; `place`: an object's shape, or `word`, and its place; `text`: the word.

    Args:
        where: for messages.

    Raises:
        PargoError: the record has no annotations, or others than this module's.
    """
    try:
        objects, word = record["objects"], record["word"]
        shapes = [item["shape"] for item in objects if item["shape"]]
        facts: dict[Kind, list[tuple[str, ...]]] = {
            "existence": [(shape,) for shape in dict.fromkeys(shapes)],
            "count": [(_number(len(objects)),)],
            "color": [(item["color"], item["shape"]) for item in objects if item["color"] and item["shape"]],
            "shape": [(shape,) for shape in shapes],
            "place": [(item["shape"], item["cell"]) for item in objects if item["shape"] and item.get("cell")],
            "text": [(word["text"],)] if word and word["text"] else [],
        }
        if word and word.get("cell"):
            facts["place"].append((WORD, word["cell"]))
    except (KeyError, TypeError, AttributeError):
        raise PargoError(
            f"{where}: no annotations: expected `objects`, each with `shape`, `color` and `cell`, and `word` with "
            "`text` and `cell`, as sources of kind scenes have them"
        ) from None
    return {kind: Counter(found) for kind, found in facts.items()}


def _parts(**texts: str | None) -> list[Part]:
    """The parts that are known, by their kind."""
    return [Part(f" {text}", cast(Kind, kind)) for kind, text in texts.items() if text]


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)
