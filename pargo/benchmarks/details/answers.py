"""What of a caption is compared, and where the facts stand in the right one; evaluation shares it with the score."""

from __future__ import annotations

import json

from pargo.benchmarks.records import Question


def parse(answer: str, question: Question, parser: str) -> str:
    """The caption in small letters, without needless spaces; its lines stay, and `facts.py` reads the facts in it."""
    return "\n".join(" ".join(line.split()) for line in answer.lower().splitlines())


def label_spans(question: Question) -> list[tuple[str, int, int]]:
    """Where facts stand in the right caption: kind, and the characters from (with the space before them) and to."""
    return [(kind, start, end) for kind, start, end in json.loads(question.details["spans"])]
