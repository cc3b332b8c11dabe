"""What came of an import, on the screen: what is used, and what is not, by reason and with an example of each."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping

from pargo.progress import IMPORT_MARK

HOPELESS = 1000  # entries or samples at the beginning, none of them usable: an import ends
LENGTH = 300  # characters of a line


class Reasons:
    """Counts why entries were left out, with the first example of each reason."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, example: str, number: int = 1) -> None:
        count, first = self._found.get(kind, (0, example))
        self._found[kind] = count + number, first

    def counts(self) -> dict[str, int]:
        """Number of entries left out by reason, the most frequent first."""
        return {kind: count for kind, (count, _) in self._sorted()}

    def lines(self) -> list[str]:
        """A line for each reason, with its number and first example, the most frequent first."""
        return [f"{count:,} x {kind}, e.g. {example}" for kind, (count, example) in self._sorted()]

    def __str__(self) -> str:
        return ", ".join(f"{kind}: {count:,}" for kind, count in self.counts().items()) or "none"

    def _sorted(self) -> list[tuple[str, tuple[int, str]]]:
        return sorted(self._found.items(), key=lambda item: (-item[1][0], item[0]))


def show(counts: Mapping[str, int], reasons: Reasons) -> None:
    """Print what came of an import to stderr.

    Args:
        counts: entries by what became of them, e.g. `without_image`.
    """
    words = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    for line in (words, *reasons.lines()):
        print(textwrap.shorten(IMPORT_MARK + line, LENGTH, placeholder=" ..."), file=sys.stderr, flush=True)
