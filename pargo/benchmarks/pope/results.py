"""POPE's files of answers: JSON Lines, a line a question, in the order of the labels; a file for each split."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from pargo.benchmarks.formats.rows import Row, json_lines, list_folder, read_bytes, shorten
from pargo.benchmarks.pope.merged import by_order, by_questions
from pargo.benchmarks.pope.pairing import ID, pair
from pargo.benchmarks.pope.splits import SPLITS, SUFFIXES, label_of, split_of
from pargo.benchmarks.records import Answered, Prediction
from pargo.errors import PargoError

OFFICIAL = "official"
WHOLE = "all"  # task of files that do not say which split they are


def write(predictions: Iterable[Prediction], directory: Path) -> None:
    """Write `official/coco_pope_<split>_answers.json`, as the official evaluate.py reads it.

    A line a question: `question_id`, `question` and `answer`, in the order of the predictions.
    """
    folder = directory / OFFICIAL
    folder.mkdir()
    ordered = sorted(predictions, key=lambda prediction: SPLITS.index(prediction.task))  # stable
    for split, group in groupby(ordered, key=lambda prediction: prediction.task):
        lines = (json.dumps(_line(item), ensure_ascii=False) + "\n" for item in group)
        path = folder / f"coco_pope_{split}_answers.json"
        path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _line(item: Prediction) -> dict[str, str | int]:
    number = item.details[ID]
    whole = number.isascii() and number.isdigit() and len(number) < 18 and str(int(number)) == number
    return {ID: int(number) if whole else number, "question": item.question, "answer": item.answer}


def read(inputs: Sequence[Path], *, parser: str, partial: bool, notes: list[str] | None = None) -> list[Answered]:
    """The answers of official files, with their labels.

    A label's line holds `label`, an answer's `answer`, or `text` where there is no `answer`. Both are paired by order,
    and what else they tell of the question must agree (`pair`). The split is named by the file, or by `category` in
    the labels' lines; files that do not tell it are one task.

    Args:
        inputs: labels and answers: two JSON Lines files, or two folders with a file for each split; or a folder of
            labels and LLaVA's one file of all answers, where its llava_pope_test.jsonl may stand between them.
        parser: name of the parser.
        partial: score what was answered, though questions or splits have no answer.
        notes: gets sentences on what was taken.

    Raises:
        PargoError: files that do not belong together (`pair`), a label other than yes and no, an answer that is no
            text; names file and line.
    """
    notes = [] if notes is None else notes
    if not 2 <= len(inputs) <= 3:
        raise PargoError(
            f"pope takes labels and answers, with llava_pope_test.jsonl between them or not, got {len(inputs)} input(s)"
        )
    labels, answers = inputs[0], inputs[-1]
    if labels.is_dir() and answers.is_file():
        return _read_merged(labels, inputs[1] if len(inputs) == 3 else None, answers, partial, notes)
    if len(inputs) == 3:
        raise PargoError(f"{labels} and {answers}: with {inputs[1]}, expected a folder of labels and a file of answers")
    if labels.is_dir() != answers.is_dir():
        raise PargoError(f"{labels} and {answers}: one is a folder and the other is not, expected two of a kind")
    if not labels.is_dir():
        split, other = split_of(labels.name), split_of(answers.name)
        if split and other and split != other:
            raise PargoError(f"{answers} is named after split {other}, but {labels} after {split}")
        return _read_pair(split or other, labels, answers, partial, notes)
    label_files, answer_files = _by_split(labels), _by_split(answers)
    if extra := sorted(answer_files.keys() - label_files.keys()):
        raise PargoError(f"{answer_files[extra[0]]}: {labels} has no labels of split {extra[0]}")
    _check_all_answered(label_files, answer_files, labels, answers, partial)
    return [
        answer
        for split in SPLITS
        if split in answer_files
        for answer in _read_pair(split, label_files[split], answer_files[split], partial, notes)
    ]


def _read_merged(
    labels: Path, questions: Path | None, answers: Path, partial: bool, notes: list[str]
) -> list[Answered]:
    files = _by_split(labels)
    rows = {split: json_lines(read_bytes(path), str(path)) for split, path in files.items()}
    merged = json_lines(read_bytes(answers), str(answers))
    if questions:
        parts = by_questions(json_lines(read_bytes(questions), str(questions)), merged)
    else:
        parts = by_order(rows, merged, str(answers))
    if extra := sorted(parts.keys() - files.keys()):
        raise PargoError(f"{answers}: answers to split {extra[0]}, of which {labels} has no labels")
    _check_all_answered(files, parts, labels, answers, partial)
    told = f"by {questions}" if questions else "by the questions in it, one after the other"
    notes.append(f"{answers} was divided into {', '.join(parts)} {told}, and each was paired with its labels by order")
    return [
        answer
        for split in SPLITS
        if split in parts
        for answer in _paired(split, rows[split], parts[split], (str(files[split]), str(answers)), False, notes)
    ]


def _check_all_answered(
    asked: Iterable[str], answered: Container[str], labels: Path, answers: Path, partial: bool
) -> None:
    """Raise PargoError if a split of the labels has no answers."""
    missing = [split for split in asked if split not in answered]
    if missing and not partial:
        raise PargoError(f"{answers}: no answers to split {', '.join(missing)}, of which {labels} has labels")


def _by_split(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_folder(folder, *SUFFIXES):
        split = split_of(path.name)
        if not split:
            raise PargoError(f"{path}: its name must hold one of {', '.join(SPLITS)}")
        if split in found:
            raise PargoError(f"{path}: {found[split]} is of split {split} as well, expected one file a split")
        found[split] = path
    if not found:
        raise PargoError(f"{folder} holds no {' or '.join(SUFFIXES)} file, expected one for each split")
    return found


def _read_pair(split: str, labels: Path, answers: Path, partial: bool, notes: list[str]) -> list[Answered]:
    rows = [json_lines(read_bytes(path), str(path)) for path in (labels, answers)]
    return _paired(split, rows[0], rows[1], (str(labels), str(answers)), partial, notes)


def _paired(
    split: str,
    labels: Sequence[Row],
    answers: Sequence[Row],
    names: tuple[str, str],
    partial: bool,
    notes: list[str],
) -> list[Answered]:
    pairs = pair(labels, answers, names, partial=partial, notes=notes)
    if all(_is_question(label, answer) for label, answer in pairs):
        raise PargoError(
            f"{names[1]}: every `text` in it is the question, and there is no `answer`: these are no answers"
        )
    seen: Counter[str] = Counter()
    found = []
    for number, (label, answer) in enumerate(pairs, start=1):
        task = split or _category(label)
        own = label.identifier(ID) if ID in label.record else str(number)
        identifier = f"{task}/{own}"
        seen[identifier] += 1
        if seen[identifier] > 1:  # files of several splits, one after the other: order pairs them all the same
            identifier = f"{identifier}#{seen[identifier]}"
        found.append(
            Answered(
                id=identifier,
                task=task,
                image=label.text("image") if "image" in label.record else identifier,
                question=label.text("text") if "text" in label.record else "",
                label=label_of(label, "label"),
                answer=answer.text("answer" if "answer" in answer.record else "text"),
                details={ID: own},
            )
        )
    return found


def _is_question(label: Row, answer: Row) -> bool:
    """Whether an answer's text begins with the question, as in files of labels and in LLaVA's of questions."""
    text, asked = answer.record.get("text"), label.record.get("text")
    if "answer" in answer.record or not isinstance(text, str) or not isinstance(asked, str):
        return False
    return asked != "" and text.startswith(asked)


def _category(label: Row) -> str:
    if "category" not in label.record:
        return WHOLE
    category = label.text("category")
    if category not in SPLITS:
        raise PargoError(f"{label.where}: `category` is {shorten(category)}, expected {', '.join(SPLITS)}")
    return category
