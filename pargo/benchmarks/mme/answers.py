"""What MME's parsers take a response for: yes, no or other. Pure, and all that evaluation shares with the score."""

from __future__ import annotations

from typing import Literal

from pargo.benchmarks.records import Question

# Characters that are read: the official calculation.py reads 4, ParGo's released evaluation 20.
PREFIX_LENGTHS = {"official": 4, "pargo_release": 20}
OTHER: Literal["other"] = "other"

Parsed = Literal["yes", "no", "other"]


def parse_prefix(response: str, prefix: int) -> Parsed:
    """`yes` if the first `prefix` lower-cased characters hold it, else `no` if they hold that, else `other`."""
    start = response.lower()[:prefix]
    return "yes" if "yes" in start else "no" if "no" in start else OTHER


def parse(answer: str, question: Question, parser: str) -> Parsed:
    """The answer by the parser of this name."""
    return parse_prefix(answer, PREFIX_LENGTHS[parser])


def is_decided(text: str, question: Question) -> bool:
    """True when each parser makes the same of every answer that begins with `text` (stripped)."""
    # a character whose last bytes are still to come is decoded as U+FFFD, one or several, and changes with them
    start = text.strip().rstrip("\ufffd").lower()
    return all(_is_fixed(start, prefix) for prefix in PREFIX_LENGTHS.values())


def _is_fixed(start: str, prefix: int) -> bool:
    if "yes" in start[:prefix]:
        return True
    if _may_come(start, "yes", prefix):
        return False
    return "no" in start[:prefix] or not _may_come(start, "no", prefix)


def _may_come(start: str, word: str, prefix: int) -> bool:
    """Whether a continuation of `start` can complete `word` within its first `prefix` characters."""
    begins = range(max(0, len(start) - len(word) + 1), prefix - len(word) + 1)
    return any(word.startswith(start[begin:]) for begin in begins)
