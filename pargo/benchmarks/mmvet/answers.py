"""What is made of MM-Vet's open answers: the judge gets them whole; the proxy compares words, for tests and trends."""

from __future__ import annotations

import re

from pargo.benchmarks.records import Question
from pargo.errors import PargoError

AND, OR = "<AND>", "<OR>"


def parse(answer: str, question: Question, parser: str) -> str:
    """For `judge` the answer itself, for `proxy` its grade.

    Raises:
        PargoError: `proxy`, and the question has no right answer to compare with.
    """
    return repr(proxy_grade(answer, question)) if parser == "proxy" else answer


def proxy_grade(answer: str, question: Question) -> float:
    """The share of the right answer's `<AND>` parts that the answer holds; of its `<OR>` alternatives a part needs one.

    An alternative is held when its words stand in the answer side by side, whatever their case and the space and
    final full stop around them. This is no official score: it knows neither synonyms nor wrong additions.

    Raises:
        PargoError: the question has no right answer.
    """
    parts = [[_words(choice) for choice in part.split(OR)] for part in question.label.split(AND)]
    parts = [choices for part in parts if (choices := [choice for choice in part if choice])]
    if not parts:
        raise PargoError(f"question {question.id}: no right answer, which the proxy compares with")
    text = _words(answer)
    return sum(any(_holds(text, choice) for choice in choices) for choices in parts) / len(parts)


def _words(text: str) -> str:
    return " ".join(text.casefold().split()).removesuffix(".").rstrip()


def _holds(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None
