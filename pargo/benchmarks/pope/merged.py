"""LLaVA's single file of answers to all splits: its lines are shared out among the splits, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

from pargo.benchmarks.formats.rows import Row, shorten
from pargo.benchmarks.pope.pairing import ID, is_in_order, same_question, without_id
from pargo.benchmarks.pope.splits import SPLITS
from pargo.errors import PargoError

Labels = Mapping[str, Sequence[Row]]
HINT = "name LLaVA's llava_pope_test.jsonl between labels and answers, which says the split of each `question_id`"


def by_questions(questions: Sequence[Row], answers: Sequence[Row]) -> dict[str, list[Row]]:
    """Answers by split, as LLaVA's eval_pope.py finds it: by the `category` of the question with their id.

    They tell image and text of that question, so that an order which is not that of the labels is seen.

    Raises:
        PargoError: an answer to a question that is not there, or another category than a split of POPE.
    """
    splits: dict[str, str] = {}
    asked: dict[str, dict[str, object]] = {}
    for row in questions:
        split = row.text("category")
        if split not in SPLITS:
            raise PargoError(f"{row.where}: `category` is {shorten(split)}, expected {', '.join(SPLITS)}")
        splits[row.identifier(ID)] = split
        told = (("image", "image"), ("question", "text"))
        asked[row.identifier(ID)] = {name: row.record[key] for name, key in told if key in row.record}
    found: dict[str, list[Row]] = {}
    for row in answers:
        if row.identifier(ID) not in splits:
            raise PargoError(f"{row.where}: question {shorten(row.identifier(ID))} is not among the questions")
        known = Row(row.where, without_id(row).record | asked[row.identifier(ID)])
        found.setdefault(splits[row.identifier(ID)], []).append(known)
    return found


def by_order(labels: Labels, answers: Sequence[Row], name: str) -> dict[str, list[Row]]:
    """Answers by split where no file says it: one split after the other, in the order that their questions tell.

    Raises:
        PargoError: another number of answers than of labels, ids that do not grow, or questions that fit no order, or
            several whose splits differ.
    """
    number = sum(map(len, labels.values()))
    if len(answers) != number:
        raise PargoError(f"{name}: {len(answers)} answers to the {number} questions of {', '.join(labels)}; {HINT}")
    fitting = [found for order in permutations(labels) if (found := _shared_out(order, labels, answers)) is not None]
    if not fitting:
        raise PargoError(f"{name}: its questions are those of the labels in no order of {', '.join(labels)}; {HINT}")
    if not is_in_order(answers):
        raise PargoError(f"{name}: its `{ID}` do not grow, so its lines may be in another order; {HINT}")
    contents = {split: [row.record | {ID: None} for row in rows] for split, rows in labels.items()}
    first = list(fitting[0])
    if any(contents[a] != contents[b] for other in fitting for a, b in zip(first, other, strict=True)):
        raise PargoError(f"{name}: its questions fit several orders of {', '.join(labels)}; {HINT}")
    return fitting[0]


def _shared_out(order: Sequence[str], labels: Labels, answers: Sequence[Row]) -> dict[str, list[Row]] | None:
    found: dict[str, list[Row]] = {}
    start = 0
    for split in order:
        part = answers[start : start + len(labels[split])]
        if not all(same_question(label, answer) for label, answer in zip(labels[split], part, strict=True)):
            return None
        found[split] = [without_id(row) for row in part]
        start += len(part)
    return found
