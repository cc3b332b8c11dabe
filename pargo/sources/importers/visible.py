"""Whether a text shows anything: a model that is taught an answer of blanks learns to say nothing."""

from __future__ import annotations

import unicodedata

# characters that are drawn as nothing, though their category is that of letters or symbols
BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# separators, controls, zero-width and other formats, halves of characters, marks without a letter
UNSEEN = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Mn", "Me", "Mc"})


def is_visible(text: str) -> bool:
    """Is there a letter, digit, sign or symbol in it?"""
    return any(unicodedata.category(character) not in UNSEEN and character not in BLANK for character in text)
