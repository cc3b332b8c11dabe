"""Words of a caption in any script, and its length in words: one measure for all rules, statistics and figures.

Where words are not divided by spaces, characters stand for them: two of Chinese or Japanese, or four of Thai, Lao,
Khmer or Burmese, count as one word. Marks above, below and beside a letter are part of it. Korean has spaces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import regex

_TWO = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\u30fc\uff70"  # the last two lengthen vowels of Japanese
_FOUR = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_MARKS = r"[\p{M}\u200c\u200d]*"
_LETTER = rf"[\p{{L}}\p{{N}}_]{_MARKS}"
_SPACELESS = rf"(?:(?=[{_TWO}{_FOUR}])[\p{{L}}\p{{N}}])"
_WORD = rf"(?:(?!{_SPACELESS}){_LETTER})+"
UNIT = regex.compile(rf"{_SPACELESS}{_MARKS}|{_WORD}(?:['-]{_WORD})*")
_HALF = regex.compile(rf"[{_TWO}]")
_QUARTER = regex.compile(rf"[{_FOUR}]")
SPACELESS = regex.compile(_SPACELESS)


def words(caption: str) -> list[str]:
    """The words of a caption, lower case, without punctuation; single characters where no spaces divide words."""
    return UNIT.findall(caption.lower())


def length(found: Sequence[str]) -> int:
    """In words, rounded up.

    Args:
        found: of `words`.
    """
    halves = sum(_HALF.match(unit) is not None for unit in found)
    quarters = sum(_QUARTER.match(unit) is not None for unit in found)
    return len(found) - halves - quarters + math.ceil(halves / 2 + quarters / 4)


def per_word(found: Sequence[str]) -> int:
    """How many of the units make a word, about: 1, or 2 to 4 where most are characters that stand for a part of one."""
    return round(len(found) / length(found)) if found else 1
