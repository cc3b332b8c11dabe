"""Which option an MMBench answer is taken for, by exact matching alone: no judge and no random fallback."""

from __future__ import annotations

from collections.abc import Mapping

from pargo.benchmarks.records import Question

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


def parse(answer: str, question: Question, parser: str) -> str:
    """The letter of an option, `REFUSED` or `UNMATCHED`, as `can_infer` of VLMEvalKit (2024-08) finds it.

    A letter that stands alone or among punctuation, if exactly one does; else the option whose text, capitals aside,
    is part of the answer, if exactly one is. A lone `A` may be an article: the tool only looks into that when its
    VERBOSE environment variable is set, so it counts here.
    """
    return _by_letter(answer, question.options) or _by_text(answer.lower(), question.options)


def _by_letter(answer: str, options: Mapping[str, str]) -> str:
    if API_FAILURE in answer:
        return UNMATCHED
    if any(phrase in answer for phrase in REFUSALS):
        return REFUSED
    words = set(answer.translate(_SPACES).split())
    letters = [letter for letter in options if letter in words]
    if len(letters) == 1:
        return letters[0]
    return REFUSED if not letters and REFUSED in words else UNMATCHED


def _by_text(answer: str, options: Mapping[str, str]) -> str:
    letters = [letter for letter, text in options.items() if text.lower() in answer]
    return letters[0] if len(letters) == 1 else UNMATCHED
