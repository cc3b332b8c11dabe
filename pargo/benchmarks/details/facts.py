"""The facts that a caption says, found by the names that annotations use.

A caption is cut into clauses, at punctuation but `:`, at the ends of lines and at `and`. A shape's color is the last
one before it in its clause, its place the nearest in its clause. A count is a number before `shapes` or `objects`, and
each such number is one. What no annotation names is no fact, and a plural is no shape.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from pargo.data.annotations import KINDS, NUMBERS, WORD, Facts

_CLAUSE = re.compile(r"[,;.!?\n]|\band\b")
_COUNT = re.compile(rf"\b({'|'.join(NUMBERS)}|\d+)\s+(?:shape|object)s?\b")


def in_small_letters(facts: Facts) -> Facts:
    """Facts as they are compared."""
    return {
        kind: Counter(tuple(name.lower() for name in fact) for fact in found.elements())
        for kind, found in facts.items()
    }


@dataclass(frozen=True)
class Names:
    """The names of shapes, colors, places and words that annotations use, in small letters."""

    shapes: frozenset[str]
    colors: frozenset[str]
    places: frozenset[str]
    texts: frozenset[str]

    @classmethod
    def of(cls, facts: Iterable[Facts]) -> Names:
        """All names that these use, which are in small letters."""
        found: dict[str, set[str]] = {name: set() for name in ("shapes", "colors", "places", "texts")}
        for known in facts:
            found["shapes"] |= {shape for (shape,) in known["shape"]}
            found["colors"] |= {color for color, _ in known["color"]}
            found["places"] |= {place for _, place in known["place"]}
            found["texts"] |= {text for (text,) in known["text"]}
        return cls(**{name: frozenset(words) for name, words in found.items()})

    def facts(self, caption: str) -> Facts:
        """The facts that a caption says, by kind, each as often as it says them."""
        text = caption.lower()
        found: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in KINDS}
        found["count"] = [(_in_words(number),) for number in _COUNT.findall(text)]
        for clause in _CLAUSE.split(text):
            self._add(clause, found)
        found["existence"] = list(dict.fromkeys(found["shape"]))
        return {kind: Counter(found[kind]) for kind in KINDS}

    def _add(self, clause: str, found: dict[str, list[tuple[str, ...]]]) -> None:
        names = list(_any_of(self.shapes | self.colors | self.places | self.texts).finditer(clause))
        places = [name for name in names if name[0] in self.places]
        color = None
        for name in names:
            if name[0] in self.places:
                continue
            if name[0] in self.colors:
                color = name[0]
                continue
            if name[0] in self.shapes:
                found["shape"].append((name[0],))
                if color:
                    found["color"].append((color, name[0]))
            else:
                found["text"].append((name[0],))
            color = None
            if places:
                nearest = min(places, key=lambda place: _between(name, place))
                found["place"].append((name[0] if name[0] in self.shapes else WORD, nearest[0]))


def _between(name: re.Match[str], place: re.Match[str]) -> tuple[int, bool]:
    """Characters between a name and a place; of two that are as near the one behind it comes first."""
    return max(place.start() - name.end(), name.start() - place.end()), place.start() < name.start()


@cache
def _any_of(names: frozenset[str]) -> re.Pattern[str]:
    """Finds names as whole words; of those that begin at one place the longest."""
    ordered = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, ordered))})(?!\w)" if ordered else r"(?!)")


def _in_words(number: str) -> str:
    return NUMBERS[int(number)] if number.isdigit() and int(number) < len(NUMBERS) else number
