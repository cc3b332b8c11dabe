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
