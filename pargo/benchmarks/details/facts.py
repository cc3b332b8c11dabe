"""The facts that a caption says, found by the names that annotations use.

A caption is cut into clauses, at punctuation and at ` and `. A shape's color is the last one before it in its clause,
its place the one that its clause names. What no annotation names is no fact, and a plural is no shape.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from pargo.data.annotations import KINDS, NUMBERS, WORD, Facts

_CLAUSE = re.compile(r"[,;:.!?\n]|\band\b")
_NUMBER = re.compile(rf"\b({'|'.join(NUMBERS)}|\d+)\b")


@dataclass(frozen=True)
class Names:
    """The names of shapes, colors, places and words that annotations use, in small letters."""

    shapes: frozenset[str]
    colors: frozenset[str]
    places: frozenset[str]
    texts: frozenset[str]

    @classmethod
    def of(cls, facts: Iterable[Facts]) -> Names:
        """All names that these use."""
        found: dict[str, set[str]] = {name: set() for name in ("shapes", "colors", "places", "texts")}
        for known in facts:
            found["shapes"] |= {shape for (shape,) in known["shape"]}
            found["colors"] |= {color for color, _ in known["color"]}
            found["places"] |= {place for _, place in known["place"]}
            found["texts"] |= {text for (text,) in known["text"]}
        return cls(**{name: frozenset(word.lower() for word in words) for name, words in found.items()})

    def facts(self, caption: str) -> Facts:
        """The facts that a caption says, by kind, each as often as it says them."""
        text = caption.lower()
        found: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in KINDS}
        if number := _NUMBER.search(text):
            found["count"].append((_in_words(number[0]),))
        for clause in _CLAUSE.split(text):
            self._add(clause, found)
        found["existence"] = list(dict.fromkeys(found["shape"]))
        return {kind: Counter(found[kind]) for kind in KINDS}

    def _add(self, clause: str, found: dict[str, list[tuple[str, ...]]]) -> None:
        pattern = _any_of(self.places)
        place = next(iter(pattern.findall(clause)), None)
        color = None
        for name in _any_of(self.shapes | self.colors | self.texts).findall(pattern.sub(" ", clause)):
            if name in self.colors:
                color = name
                continue
            if name in self.shapes:
                found["shape"].append((name,))
                if color:
                    found["color"].append((color, name))
            else:
                found["text"].append((name,))
            color = None
            if place:
                found["place"].append((name if name in self.shapes else WORD, place))


@cache
def _any_of(names: frozenset[str]) -> re.Pattern[str]:
    """Finds names as whole words; of those that begin at one place the longest."""
    ordered = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, ordered))})(?!\w)" if ordered else r"(?!)")


def _in_words(number: str) -> str:
    return NUMBERS[int(number)] if number.isdigit() and int(number) < len(NUMBERS) else number
