"""Words of a caption in any script, and its length in words: one measure for all rules, statistics and figures.

Where words are not divided by spaces, characters stand for them: two of Chinese or Japanese, or four of Thai, Lao,
Khmer or Burmese, count as one word. Marks above, below and beside a letter are part of it. Korean has spaces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import regex

_TWO = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\u30fc\uff70"  # the last two lengthen vowels of Japanese
_FOUR = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_MARKS = r"[\p{M}\u200c\u200d]*"
_SPACELESS = rf"[[\p{{L}}\p{{N}}]&&[{_TWO}{_FOUR}]]"
_WORD = rf"(?:[[\p{{L}}\p{{N}}_]--[{_TWO}{_FOUR}]]{_MARKS})+"
_UNIT = regex.compile(rf"{_SPACELESS}{_MARKS}|{_WORD}(?:['-]{_WORD})*", regex.VERSION1)
_HALF = regex.compile(rf"[{_TWO}]")
_QUARTER = regex.compile(rf"[{_FOUR}]")
# Latin, Greek and Cyrillic letters without marks of their own, and punctuation: there, the same words are found faster.
_PLAIN = re.compile(r"[\0-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e]*")
_PLAIN_WORD = re.compile(r"\w+(?:['-]\w+)*")


def words(caption: str) -> list[str]:
    """The words of a caption, lower case, without punctuation; single characters where no spaces divide words."""
    text = caption.lower()
    return (_PLAIN_WORD if _PLAIN.fullmatch(text) else _UNIT).findall(text)


def length(found: Sequence[str]) -> int:
    """Length of a caption in words, rounded up, also where no spaces divide words.

    Args:
        found: of `words`.
    """
    if all(map(str.isascii, found)):
        return len(found)
    halves = sum(_HALF.match(unit) is not None for unit in found)
    quarters = sum(_QUARTER.match(unit) is not None for unit in found)
    return len(found) - halves - quarters + math.ceil(halves / 2 + quarters / 4)


def per_word(found: Sequence[str]) -> int:
    """How many of the units make a word, about: 1, or 2 to 4 where most are characters that stand for a part of one."""
    return round(len(found) / length(found)) if found else 1
