"""`mm-vet.json`, the questions: {id: {imagename, question, answer, capability list}}."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pargo.benchmarks.formats.rows import read_text
from pargo.benchmarks.mmvet.entries import parse_entries
from pargo.benchmarks.records import Question
from pargo.errors import PargoError

META = "mm-vet.json"
RESERVED = ("total", "std", "runs")  # columns of the official tables beside the capabilities
_CAPABILITY = re.compile(r"[A-Za-z0-9_-]+")


def read_meta(path: Path) -> dict[str, Question]:
    """The questions of `mm-vet.json` by id, in its order; a question's image is its official name.

    Raises:
        PargoError: not such a file; names file and line.
    """
    return parse_meta(read_text(path), str(path))


def parse_meta(text: str, name: str) -> dict[str, Question]:
    """The questions by id that `read_meta` gives, from the file's text; `name` is what an error calls it."""
    questions = {}
    for key, value, where in parse_entries(text, name):
        if not isinstance(value, dict):
            raise PargoError(f"{where}: {key}: expected an object with imagename, question, answer, capability")
        if not isinstance(capabilities := value.get("capability"), list):
            raise PargoError(f"{where}: {key}: `capability` is {capabilities!r:.60}, expected a list of names")
        questions[key] = make_question(
            key, value.get("imagename"), value.get("question"), value.get("answer"), capabilities, where
        )
    if not questions:
        raise PargoError(f"{name} holds no questions")
    return questions


def make_question(
    identifier: Any, image: Any, question: Any, answer: Any, capabilities: Sequence[Any], where: str
) -> Question:
    """A question, with its exact set of capabilities as the task: `ocr+spat`.

    Raises:
        PargoError: a field that is missing or not text, or capabilities that are none; begins with `where`.
    """
    fields = {"id": identifier, "imagename": image, "question": question, "answer": answer}
    for field, value in fields.items():
        if not isinstance(value, str) or (not value.strip() and field != "answer"):
            raise PargoError(f"{where}: {identifier}: `{field}` is {value!r:.60}, expected text")
    for name in capabilities:
        if not isinstance(name, str) or not _CAPABILITY.fullmatch(name) or name in RESERVED:
            raise PargoError(
                f"{where}: {identifier}: capability {name!r:.60}, expected a name like `ocr` or `spat`, letters only"
            )
    if not capabilities:
        raise PargoError(f"{where}: {identifier}: no capability, and so in no group of the score")
    names = sorted(set(capabilities))
    return Question(
        id=identifier,
        task="+".join(names),
        image=image,
        question=question,
        label=answer,
        details={"capability": ",".join(names)},
    )
