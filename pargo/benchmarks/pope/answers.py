"""What POPE's official evaluate.py takes an answer for: `no` if its first sentence has a word of denial, else `yes`."""

from __future__ import annotations

import re

from pargo.benchmarks.records import Question

DENIALS = frozenset(("No", "not", "no"))
_YES = re.compile(r"\byes\b", re.IGNORECASE)


def parse(answer: str, question: Question | None = None, parser: str = "official") -> str:
    """`no` if `No`, `not` or `no` is a word of the text before the first `.`, without `,` and split at spaces alone.

    All else is `yes`, as in the official tool: an empty answer, `NO`, `no!`, `None`.
    """
    return "yes" if DENIALS.isdisjoint(_words(answer)) else "no"


def is_explicit(answer: str) -> bool:
    """False where an answer counts as `yes` although its first sentence does not say so."""
    return parse(answer) == "no" or bool(_YES.search(answer.split(".")[0]))


def is_decided(text: str, question: Question) -> bool:
    """True when the first sentence has ended, or a word of denial has, so that whatever follows changes nothing."""
    return "." in text or not DENIALS.isdisjoint(_words(text)[:-1])  # the last word may still go on


def _words(text: str) -> list[str]:
    return text.split(".")[0].replace(",", "").split(" ")
