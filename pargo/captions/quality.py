"""The caption filter: pure rules, each with a name under which it is counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from pargo.config.data import Quality

WORD = re.compile(r"\w+(?:['-]\w+)*")


def words(caption: str) -> list[str]:
    """The words of a caption, lower case, without punctuation."""
    return WORD.findall(caption.lower())


def repetition(caption: str) -> float:
    """The largest share of the words that is one and the same word; 0 without words."""
    found = words(caption)
    return max(Counter(found).values()) / len(found) if found else 0.0


# In this order; the first rule that holds is the reason for dropping a caption.
RULES: dict[str, Callable[[str, Quality], bool]] = {
    "empty": lambda caption, quality: not words(caption),
    "too_short": lambda caption, quality: len(words(caption)) < quality.min_words,
    "too_long": lambda caption, quality: len(words(caption)) > quality.max_words,
    "repetitive": lambda caption, quality: repetition(caption) > quality.max_repetition,
}


def reason_to_drop(caption: str, quality: Quality) -> str | None:
    """The name of the first rule that drops the caption, or None for a caption to keep."""
    return next((name for name, rule in RULES.items() if rule(caption, quality)), None)
