"""The caption filter's rules on one caption: pure functions, each with a name under which it is counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from pargo.captions.thoughts import has_thoughts
from pargo.captions.units import length, per_word, words
from pargo.captions.wrappers import has_control_token, has_label, has_role, is_wrapped
from pargo.config.quality import Quality

# What ends a sentence: Latin; Chinese and Japanese; Arabic and Urdu; Hindi, Tibetan, Burmese, Khmer, Amharic, Armenian.
ENDS = ".!?\u2026\u3002\uff01\uff1f\uff0e\uff61\u061f\u06d4\u0964\u0965\u0f0d\u104a\u104b\u17d4\u17d5\u1362\u1367\u0589"
_CLOSERS = "'\"\u201d\u2019\xbb)\\]*\u300d\u300f\uff09\u3011\u300b\u3009"
# The end of a sentence, in quotes or brackets too. Thai and Lao have no sign for it: there, any letter may be the last.
FINISHED = re.compile(f"[{ENDS}\u0e01-\u0eff][{_CLOSERS}\\s]*$")
NGRAM = 4
LONG = 40  # words from which on repetition of sequences is looked at

# The model speaks of itself, of the request, or of what it cannot do, where a caption should speak of the picture.
REFUSALS = re.compile(
    r"\b(as an? (ai|language|artificial|multimodal)\b|i('m| am) (sorry|unable|not able|just an?)\b|i apologi[sz]e"
    r"|i (can(no|')t|could not|couldn't) (see|view|describe|help|assist|identify|provide|process|access)"
    r"|(unable|not able) to (see|view|describe|display|assist|process)"
    r"|(no|without an?) image (was|is|has been|provided)"
    r"|(image|picture|photo|file) (that |which )?(you|you've|was) (provided|sent|uploaded|shared|attached)"
    r"|please (provide|upload|share)|let me know if|sure[,!]|certainly[,!]|i hope this)",
    re.IGNORECASE,
)
# What no still image shows, and words of guessing; phrases count by their words.
UNSEEN = re.compile(
    r"\b(probably|perhaps|maybe|presumably|possibly|likely|might be|may be|could be|seems? to be|appears? to be"
    r"|suggest(s|ing)|impl(y|ies|ying)|indicat(es|ing)|outside (of )?the (frame|image|picture|photo)|out of frame"
    r"|(can|could) (almost )?be heard|sounds? of|smell|scent|aroma|fragrance|moments? (before|after)|about to"
    r"|(just|has|have) (finished|arrived|happened)|in the future|atmosphere of|sense of|feeling of|mood)\b",
    re.IGNORECASE,
)


def repetition(caption: str) -> float:
    """The largest share of the words that is one and the same word; 0 without words."""
    found = words(caption)
    return max(Counter(found).values()) / len(found) if found else 0.0


def character_run(caption: str) -> int:
    """The most times that one character comes in a row."""
    return max((len(match[0]) for match in re.finditer(r"(.)\1*", caption, re.DOTALL)), default=0)


def repeated_ngrams(found: Sequence[str]) -> float:
    """The share of the sequences of four words that came before; 0 in short captions.

    Where characters stand for words, the sequences have as many characters as make four.
    """
    if length(found) < LONG:
        return 0.0
    size = NGRAM * per_word(found)
    grams = [tuple(found[place : place + size]) for place in range(len(found) - size + 1)]
    return 1 - len(set(grams)) / len(grams)


def unseen(caption: str) -> float:
    """The share of the words that are on what no image shows, or guesses."""
    total = length(words(caption))
    return sum(len(words(match[0])) for match in UNSEEN.finditer(caption)) / total if total else 0.0


def language(caption: str) -> str:
    """A caption's most probable language, as a code of two letters. Unreliable below some ten words."""
    import py3langid  # only here: it reads its model

    return py3langid.classify(caption)[0]


Row = dict[str, Any]


def _text(caption: str, row: Row) -> str:
    """The caption with its lines, where they are known; else in one line."""
    return row.get("text", caption)


# In this order; the first rule that holds is the reason for dropping a caption.
RULES: dict[str, Callable[[str, Row, Quality], bool]] = {
    "empty": lambda caption, row, quality: not words(caption),
    "truncated": lambda caption, row, quality: quality.truncated and row.get("finish_reason") == "length",
    "thoughts": lambda caption, row, quality: quality.thoughts and has_thoughts(_text(caption, row)),
    "control_tokens": lambda caption, row, quality: quality.control_tokens and has_control_token(_text(caption, row)),
    "role": lambda caption, row, quality: quality.roles and has_role(_text(caption, row)),
    "wrapped": lambda caption, row, quality: quality.wrapped and is_wrapped(_text(caption, row)),
    "label": lambda caption, row, quality: quality.labels and has_label(_text(caption, row)),
    "unfinished": lambda caption, row, quality: quality.unfinished and not FINISHED.search(caption),
    "refusal": lambda caption, row, quality: quality.refusals and bool(REFUSALS.search(caption)),
    "too_short": lambda caption, row, quality: length(words(caption)) < quality.min_words,
    "too_long": lambda caption, row, quality: length(words(caption)) > quality.max_words,
    "character_run": lambda caption, row, quality: (
        quality.max_character_run is not None and character_run(caption) > quality.max_character_run
    ),
    "repetitive": lambda caption, row, quality: repetition(caption) > quality.max_repetition,
    "repeated_ngrams": lambda caption, row, quality: (
        quality.max_repeated_ngrams is not None and repeated_ngrams(words(caption)) > quality.max_repeated_ngrams
    ),
    "unseen": lambda caption, row, quality: quality.max_unseen is not None and unseen(caption) > quality.max_unseen,
    "language": lambda caption, row, quality: (
        quality.languages is not None and language(caption) not in quality.languages
    ),
}
# Rules that look at more than one caption, or at the image; applied after the others.
LATE_RULES = ("duplicate", "near_duplicate", "dissimilar")
ALL_RULES = (*RULES, *LATE_RULES)


def reason_to_drop(caption: str, quality: Quality, row: Row | None = None) -> str | None:
    """The name of the first rule that drops the caption, or None for a caption to keep.

    Args:
        row: what else is known of it (`finish_reason`; `text`, the caption with its lines).
    """
    return next((name for name, rule in RULES.items() if rule(caption, row or {}, quality)), None)
