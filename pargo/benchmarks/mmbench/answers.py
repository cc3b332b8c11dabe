"""Which option an MMBench answer is taken for, by exact matching alone: no judge and no random fallback.

The official tool, VLMEvalKit, changed its rule twice. A parser is named after the month from which its rule holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pargo.benchmarks.mmbench.missing import MISSING, seen_options
from pargo.benchmarks.records import Question


class Rule(NamedTuple):
    """What tells the versions of the tool apart.

    Args:
        last_words: a letter counts when its first place is among so many last words; None: anywhere.
        text_lengths: texts of options are looked for in answers of at most so many times their joint length, in
            characters; None: in all.
        answer_is: an option's letter after `answer is`, in any case, counts where nothing before it did.
    """

    last_words: int | None
    text_lengths: int | None
    answer_is: bool


RULES = {
    "vlmevalkit_2024_08": Rule(None, None, answer_is=False),  # as of 07199117, 2024-08-31; so until 2025-08-03
    "vlmevalkit_2025_08": Rule(4, 2, answer_is=False),  # since c3371551, 2025-08-04
    "vlmevalkit_2026_08": Rule(4, 2, answer_is=True),  # since a67ace50, 2026-06-17; as of e8e78f05, 2026-08-18
}
UNMATCHED = ""  # nothing can be inferred
REFUSED = "Z"  # the answer says that it is none; wrong like an unmatched one
# phrases that the official tool takes for a refusal, and the one its API clients write when they got no answer
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
API_FAILURE = "Failed to obtain answer via API"
_SPACES = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
# no end of a word is asked for: `answer is a cat` counts as A, as in the tool
_ANSWER_IS = re.compile(r"answer\s+is\s+\**([a-d])", re.IGNORECASE)


def parse(answer: str, question: Question, parser: str) -> str:
    """The letter of an option, `REFUSED` or `UNMATCHED`, as `can_infer` of that version of VLMEvalKit finds it.

    A letter that stands alone or among punctuation, if exactly one does; else the option whose text, capitals aside,
    is part of the answer, if exactly one is; later versions are stricter and know `answer is` (`Rule`). A lone `A`
    may be an article: the tool only looks into that when its VERBOSE environment variable is set, so it counts here.

    The tool reads tables with pandas: an empty answer, or one that reads as missing, is the word `nan` to it (in which
    the option `an` is found), and an option that reads `None` is none.
    """
    rule, options = RULES[parser], seen_options(question.options)
    answer = "nan" if answer in MISSING else answer
    return _by_letter(answer, options, rule) or _by_text(answer.lower(), options, rule)


def _by_letter(answer: str, options: Mapping[str, str], rule: Rule) -> str:
    if API_FAILURE in answer:
        return UNMATCHED
    if any(phrase in answer for phrase in REFUSALS):
        return REFUSED
    words = answer.translate(_SPACES).split()
    letters = [letter for letter in options if letter in words]
    if len(letters) == 1 and (rule.last_words is None or words.index(letters[0]) >= len(words) - rule.last_words):
        return letters[0]
    if not letters and REFUSED in words:
        return REFUSED
    found = _ANSWER_IS.search(answer) if rule.answer_is else None
    return found[1].upper() if found and found[1].upper() in options else UNMATCHED


def _by_text(answer: str, options: Mapping[str, str], rule: Rule) -> str:
    if rule.text_lengths is not None and len(answer) > rule.text_lengths * sum(map(len, options.values())):
        return UNMATCHED
    letters = [letter for letter, text in options.items() if text.lower() in answer]
    return letters[0] if len(letters) == 1 else UNMATCHED
