"""Answers find their labels by order, as in POPE's official tool, and all that both files tell must agree with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from pargo.benchmarks.formats.rows import Row, shorten
from pargo.errors import PargoError

ID = "question_id"


def pair(
    labels: Sequence[Row], answers: Sequence[Row], names: tuple[str, str], *, partial: bool, notes: list[str]
) -> list[tuple[Row, Row]]:
    """Each answer with its label.

    The official tool reads no ids. Answers with a numbering of their own are paired by order as there, where it runs
    beside that of the labels, or grows and their questions are those of the labels, and a note says so.

    Args:
        labels, answers: lines of both files, at least one each.
        names: of the two files.
        partial: accept fewer answers than labels, if ids tell which.
        notes: gets sentences on what was taken.

    Raises:
        PargoError: another number of answers than of labels, an answer to a question that the labels do not have, or
            an order that differs; names file and line.
    """
    with_ids = all(ID in row.record for row in (*labels, *answers))
    known = {row.identifier(ID) for row in labels} if with_ids else set()
    unknown = [row for row in answers if row.identifier(ID) not in known] if with_ids else []
    if unknown and len(labels) == len(answers) and _own_numbering(labels, answers):
        notes.append(
            f"{names[1]}: its `{ID}` are not those of {names[0]}, so its lines were paired by their order, as the "
            "official evaluate.py does"
        )
        answers, with_ids = [without_id(row) for row in answers], False
    if with_ids:
        for row in unknown:
            raise PargoError(
                f"{row.where}: question {shorten(row.identifier(ID))} is not in {names[0]}; without `{ID}` answers are "
                "paired by their order alone, as in the official evaluate.py"
            )
        if partial and len(answers) < len(labels):
            labels = _asked(labels, answers)
    if len(labels) != len(answers):
        answered = {row.identifier(ID) for row in answers} if with_ids else set()
        missing = [row for row in labels if row.identifier(ID) not in answered] if with_ids else []
        raise PargoError(
            f"{names[1]}: {len(answers)} answers to the {len(labels)} questions of {names[0]}"
            + (f"; the first without one is {shorten(missing[0].identifier(ID))}" if missing else "")
        )
    pairs = list(zip(labels, answers, strict=True))
    for label, answer in pairs:
        if ID in label.record and ID in answer.record and label.identifier(ID) != answer.identifier(ID):
            raise PargoError(_disordered(answer, ID, answer.identifier(ID), label.identifier(ID), label))
    for key, tell in (("image", _image), ("text", told)):
        known_texts = {value for row in labels if isinstance(value := row.record.get(key), str)}
        for label, answer in pairs:
            expected, (other, found) = label.record.get(key), tell(answer)
            # another wording of the question is the user's affair; that of another line is not
            if isinstance(expected, str) and found not in (None, expected) and found in known_texts:
                raise PargoError(_disordered(answer, other, str(found), expected, label))
    return pairs


def _own_numbering(labels: Sequence[Row], answers: Sequence[Row]) -> bool:
    """Whether ids of the answers are those of the labels plus a number, or grow while all questions are the same."""
    pairs = list(zip(labels, answers, strict=True))
    offsets = {
        None if (a := _number(label)) is None or (b := _number(answer)) is None else b - a for label, answer in pairs
    }
    if len(offsets) == 1 and None not in offsets:
        return True
    return is_in_order(answers) and all(same_question(label, answer) for label, answer in pairs)


def is_in_order(answers: Sequence[Row]) -> bool:
    """False where an answer's id is a number that is not above that of the answer before it."""
    numbers = [number for answer in answers if ID in answer.record and (number := _number(answer)) is not None]
    return all(one < two for one, two in pairwise(numbers))


def _number(row: Row) -> int | None:
    text = row.identifier(ID)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def told(answer: Row) -> tuple[str, str | None]:
    """The key and the question that an answer says it is to: its `question`, or the first line of its `prompt`."""
    key = "question" if "question" in answer.record else "prompt"
    text = answer.record.get(key)
    return key, text.split("\n")[0].strip() if isinstance(text, str) else None


def _image(answer: Row) -> tuple[str, str | None]:
    name = answer.record.get("image")
    return "image", name if isinstance(name, str) else None


def same_question(label: Row, answer: Row) -> bool:
    """Whether an answer says that it is to the label's question."""
    text = label.record.get("text")
    return isinstance(text, str) and told(answer)[1] == text.strip()


def without_id(row: Row) -> Row:
    """The row without its id."""
    return Row(row.where, {key: value for key, value in row.record.items() if key != ID})


def _asked(labels: Sequence[Row], answers: Sequence[Row]) -> list[Row]:
    """The labels of the questions that were answered, if the answers are in the same order."""
    ids = Counter(label.identifier(ID) for label in labels)
    if twice := [name for name, number in ids.items() if number > 1]:
        raise PargoError(
            f"{labels[0].where}: question {shorten(twice[0])} stands {ids[twice[0]]} times in the labels, so ids do "
            "not tell which was answered: give the labels of the answered splits alone"
        )
    asked = iter(answers)
    waiting = next(asked, None)
    kept: list[Row] = []
    for label in labels:
        if waiting is not None and label.identifier(ID) == waiting.identifier(ID):
            kept.append(label)
            waiting = next(asked, None)
    if waiting is not None:
        raise PargoError(
            f"{waiting.where}: question {shorten(waiting.identifier(ID))} is not in the order of the labels"
        )
    return kept


def _disordered(answer: Row, key: str, found: str, expected: str, label: Row) -> str:
    return (
        f"{answer.where}: `{key}` is {shorten(found)}, but {label.where} has {shorten(expected)}: answers belong to "
        "labels by their order, so both files must have the same"
    )
