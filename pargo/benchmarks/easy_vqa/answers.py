"""easy-VQA's 13 answers, their types, and what exact match compares; evaluation shares it with the score."""

from __future__ import annotations

from pargo.benchmarks.records import Question

TYPES = {
    "yes_no": ("no", "yes"),
    "shape": ("circle", "rectangle", "triangle"),
    "color": ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow"),
    "open": (),  # any other answer: easy-VQA has none, but other sources with conversations may be asked in its way
}
ANSWERS = {answer: kind for kind, answers in TYPES.items() for answer in answers}


def answer_type(label: str) -> str:
    """The type of a right answer: yes_no, shape, color or open."""
    return ANSWERS.get(normalise(label), "open")


def normalise(answer: str) -> str:
    """Without surrounding space, capitals and one trailing full stop; exact match compares these."""
    return answer.strip().lower().removesuffix(".").rstrip()


def parse(answer: str, question: Question, parser: str) -> str:
    """The answer as it is compared; no closed set is imposed."""
    return normalise(answer)
