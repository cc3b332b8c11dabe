"""How VLMEvalKit finds the option of an answer without a judge. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pargo.benchmarks.records import Answered

REFUSED = "Z"
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
API_FAILURE = "Failed to obtain answer via API"
# cells that pandas reads as missing
MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "n/a", "NA", "NULL", "null", "None"}
    | {"NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
)
MAX_CELL = 32_767  # characters of a cell; what is longer is cut
LAST_WORDS = 4
_SPACES = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_ANSWER_IS = re.compile(r"answer\s+is\s+\**([a-d])", re.IGNORECASE)


def as_cell(answer: str, *, newest: bool) -> str:
    """The answer as it is read back from the xlsx table that the tool keeps it in."""
    if answer in MISSING:
        return "nan"
    if not newest and (answer.startswith("=") or (answer.startswith("{=") and answer.endswith("}"))):
        return "0"  # written as a formula, whose value nobody computed
    return answer[:MAX_CELL]


def read_letter(answer: Answered, *, newest: bool) -> str:
    """The option that an answer names, `Z` for a refusal, or nothing.

    A letter that is one of the last four words, if exactly one stands anywhere; else, in the newest version, the letter
    after `answer is`; else the option whose text is part of an answer of at most twice all options' length.
    """
    options = {letter: text for letter, text in answer.options.items() if text not in MISSING}
    text = as_cell(answer.answer, newest=newest)
    return _by_letter(text, options, newest) or _by_text(text.lower(), options)


def _by_letter(answer: str, options: Mapping[str, str], newest: bool) -> str:
    if API_FAILURE in answer:
        return ""
    if any(phrase in answer for phrase in REFUSALS):
        return REFUSED
    words = answer.translate(_SPACES).split()
    found = [letter for letter in options if letter in words]
    if len(found) == 1 and words.index(found[0]) >= len(words) - LAST_WORDS:
        return found[0]
    if not found and REFUSED in words:
        return REFUSED
    named = _ANSWER_IS.search(answer) if newest else None
    return named[1].upper() if named and named[1].upper() in options else ""


def _by_text(answer: str, options: Mapping[str, str]) -> str:
    if len(answer) > 2 * sum(map(len, options.values())):
        return ""
    found = [letter for letter, text in options.items() if text.lower() in answer]
    return found[0] if len(found) == 1 else ""
