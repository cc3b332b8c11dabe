"""SEED-Bench v1's questions: what a record of the official JSON, or a row of the hub's tables, must hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pargo.benchmarks.formats.rows import Row, clean, decode, load_json, read_bytes, shorten
from pargo.benchmarks.records import Question
from pargo.errors import PargoError

LETTERS = "ABCD"


class Annotations(NamedTuple):
    """The image questions of a JSON, in its order, and the ids of its other questions."""

    questions: list[Question]
    other_ids: set[str]


class Collection:
    """Image questions by id, in the order they came.

    Some dumps repeat questions. Equal repetitions count as one, and their number is kept in `details`.
    """

    def __init__(self) -> None:
        self.questions: dict[str, Question] = {}
        self.other_ids: set[str] = set()
        self._rows: dict[str, tuple[str, Question]] = {}

    def add(self, row: Row, names: Mapping[str, str]) -> Question | None:
        """Add the question of a row; None where it is not about an image.

        Raises:
            PargoError: a key is missing or wrong, an id was there with another content, or its dimension has no name.
        """
        kind = row.text("data_type")
        if kind == "video":
            self.other_ids.add(row.identifier("question_id"))
            return None
        if kind != "image":
            raise PargoError(f"{row.where}: `data_type` is {shorten(kind)}, expected image or video, as in version 1")
        question = _question(row, names)
        first_where, first = self._rows.setdefault(question.id, (row.where, question))
        if first != question:
            raise PargoError(f"{row.where}: question {question.id!r} again, and other than in {first_where}")
        if question.id in self.questions:
            kept = self.questions[question.id]
            repeats = str(int(kept.details.get("repeats", "0")) + 1)
            question = kept.model_copy(update={"details": kept.details | {"repeats": repeats}})
        self.questions[question.id] = question
        return question

    def finish(self, where: str) -> Annotations:
        """What was added; PargoError when there is no image question."""
        if not self.questions:
            raise PargoError(f"{where}: no question with `data_type` image")
        return Annotations(list(self.questions.values()), self.other_ids - self.questions.keys())


def _question(row: Row, names: Mapping[str, str]) -> Question:
    kind, image, label = row.identifier("question_type_id"), row.identifier("data_id"), row.text("answer")
    if kind not in names:
        raise PargoError(f"{row.where}: question_type_id {kind} is not in question_type: {', '.join(sorted(names))}")
    if label not in set(LETTERS):
        raise PargoError(f"{row.where}: `answer` is {shorten(label)}, expected one of {', '.join(LETTERS)}")
    parts = image.split("/")
    if not image.isprintable() or "\\" in image or any(part in ("", ".", "..") or len(part) > 200 for part in parts):
        raise PargoError(f"{row.where}: `data_id` is {shorten(image)}, expected the name of an image")
    return Question(
        id=row.identifier("question_id"),
        task=names[kind],
        image=image,
        question=row.text("question"),
        label=label,
        options={letter: _option(row, f"choice_{letter.lower()}") for letter in LETTERS},
        details={"question_type_id": kind, "data_id": image},
    )


def _option(row: Row, key: str) -> str:
    value = row.value(key)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else row.text(key)


def read_annotations(path: Path) -> Annotations:
    """The image questions of `SEED-Bench.json`; dimensions have the names of its own `question_type`.

    Raises:
        PargoError: it is no such file, or holds no image question; names file and question.
    """
    rows, names = parse_json(read_bytes(path), str(path))
    found = Collection()
    for row in rows:
        found.add(row, names)
    return found.finish(str(path))


def parse_json(data: bytes, where: str) -> tuple[list[Row], dict[str, str]]:
    """The questions of a JSON as they are, and its dimensions' names by number; PargoError when it is no such file."""
    value = load_json(decode(data, where), where)
    if not isinstance(value, dict):
        raise PargoError(f"{where}: {shorten(value)}, expected an object with `questions` and `question_type`")
    questions, types = (Row(where, value).value(key) for key in ("questions", "question_type"))
    if not isinstance(questions, list) or not isinstance(types, dict):
        raise PargoError(f"{where}: expected a list of `questions`, and a `question_type` of name -> id")
    names: dict[str, str] = {}
    for name in types:
        kind = Row(f"{where}: question_type", types).identifier(name)
        if kind in names:
            raise PargoError(f"{where}: question_type {kind} is both {shorten(names[kind])} and {shorten(name)}")
        names[kind] = clean(name)
    if len(set(names.values())) != len(names):
        raise PargoError(f"{where}: question_type has a name twice")
    rows = []
    for index, record in enumerate(questions):
        place = f"{where}: questions[{index}]"
        if not isinstance(record, dict):
            raise PargoError(f"{place}: {shorten(record)}, expected an object")
        rows.append(Row(place, record))
    return rows, names
