"""Annotations of an image: a caption that says them all, and the facts that they are.

A record's annotations are `objects`, each with `shape`, `color` and `cell` (its place), and a `word` with `text` and
`cell`, as the source `scenes` writes them. What is not known is null.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pargo.errors import PargoError

Kind = Literal["existence", "count", "color", "shape", "place", "text"]
Facts = Mapping[Kind, Counter[tuple[str, ...]]]
KINDS: tuple[Kind, ...] = ("existence", "count", "color", "shape", "place", "text")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
WORD = "word"  # stands for the shape of a word, where places are told


class Part(NamedTuple):
    """A part of a caption: a word or some, the space before them included; kind and fact where it says one."""

    text: str
    kind: Kind | None = None
    fact: tuple[str, ...] = ()


def describe(record: Mapping[str, Any]) -> str:
    """The caption of a record, e.g. `two shapes: red square top left, blue circle bottom right, word cat top right.`

    The form is the paper's for ParGoCap: a global sentence, then partial details. Empty when there is nothing to say.
    """
    return "".join(part.text for part in caption_parts(record)).removeprefix(" ")


def describe_briefly(record: Mapping[str, Any]) -> str:
    """The caption without its details, e.g. `two shapes: square, circle, word.`"""
    said = (part.text for part in caption_parts(record) if part.kind not in ("color", "place", "text"))
    return "".join(said).removeprefix(" ")


def caption_parts(record: Mapping[str, Any]) -> list[Part]:
    """The parts of a caption, in order; a space stands before the first of them, too.

    A color and a place are facts where it is known of what.
    """
    said = _details(record)
    if not said:
        return []
    count = len(record["objects"])
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    found = [*_part(number, "count", number), Part(f" shape{'' if count == 1 else 's'}:"), *said[0]]
    for parts in said[1:]:
        found += [Part(","), *parts]
    return [*found, Part(".")]


def _details(record: Mapping[str, Any]) -> list[list[Part]]:
    """The parts of a caption for each thing of which something is known."""
    details = []
    for item in record["objects"]:
        color, shape, place = item["color"], item["shape"], item.get("cell")
        details.append(
            [*_part(color, "color", color, shape), *_part(shape, "shape", shape), *_part(place, "place", shape, place)]
        )
    if word := record["word"]:
        text, place = word["text"], word.get("cell")
        name = WORD if text else None
        details.append([Part(f" {WORD}"), *_part(text, "text", text), *_part(place, "place", name, place)])
    return [parts for parts in details if parts]


def facts_of(record: Mapping[str, Any], where: str) -> Facts:
    """What is to be seen, by kind, each fact as often as it is there; no fact where a caption would be empty.

    `existence`: a shape is there at all; `count`: the number of objects, in words; `shape`: that of an object;
    `color`: an object's color and shape; `place`: an object's shape, or `word`, and its place; `text`: the word. Each
    but `existence` is a part of the caption.

    Args:
        where: for messages.

    Raises:
        PargoError: the record has no annotations, or others than this module's.
    """
    try:
        parts = caption_parts(record)
        if not all(isinstance(name, str) for part in parts for name in part.fact):
            raise TypeError
    except (KeyError, TypeError, AttributeError):
        raise PargoError(
            f"{where}: no annotations: expected `objects`, each with `shape`, `color` and `cell`, and `word` with "
            "`text` and `cell`, as sources of kind scenes have them"
        ) from None
    facts = {kind: Counter(part.fact for part in parts if part.kind == kind) for kind in KINDS}
    return facts | {"existence": Counter(facts["shape"].keys())}


def _part(text: str | None, kind: Kind, *fact: str | None) -> list[Part]:
    """What is known; it says a fact if all of that is known."""
    if not text:
        return []
    known = tuple(name for name in fact if name)
    return [Part(f" {text}", kind, known) if len(known) == len(fact) else Part(f" {text}")]
