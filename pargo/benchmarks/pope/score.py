"""POPE's official score: F1 of `yes` in each split, whose mean is the headline, and what else evaluate.py prints."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from pargo.benchmarks.pope.answers import is_explicit, parse
from pargo.benchmarks.pope.splits import SPLITS
from pargo.benchmarks.records import Answered
from pargo.benchmarks.scores.make import make_headline, make_task
from pargo.benchmarks.scores.score_parts import Baseline, Figure
from pargo.benchmarks.scores.score_record import Result, groups_of
from pargo.errors import PargoError
from pargo.statistics import total

# name -> version; a change of what a parser makes of an answer is a new version
PARSERS = {"official": 1}
# the random split had fewer questions until 2023-10; scores of the two versions are not comparable
RANDOM_VERSIONS = (2910, 3000)

Values = dict[str, dict[str, list[float]]]


def score(answers: Sequence[Answered], parser: str, samples: int) -> Result:
    """The benchmark's part of a score record. Scores are F1, at most 1.

    `figures` hold, for each split, what the official tool prints; `random_version` is the number of questions of the
    random split where it is that of a published version. Where nothing is answered with yes, precision and F1 are 0.

    Raises:
        PargoError: no answers, or a label other than yes and no.
    """
    if not answers:
        raise PargoError("pope: no answers to score")
    tasks: dict[str, list[Answered]] = defaultdict(list)
    for answer in answers:
        if answer.label not in ("yes", "no"):
            raise PargoError(f"question {answer.id}: label {answer.label!r}, expected yes or no")
        tasks[answer.task].append(answer)
    order = sorted(tasks, key=lambda task: (SPLITS.index(task) if task in SPLITS else len(SPLITS), task))
    guesses = {task: [parse(answer.answer, answer, parser) for answer in tasks[task]] for task in order}
    values = {task: f1_values(tasks[task], guesses[task]) for task in order}
    confusions = {task: confusion(tasks[task], guesses[task]) for task in order}
    figures: dict[str, Figure] = {**confusions}
    silent = {task: sum(not is_explicit(answer.answer) for answer in tasks[task]) for task in order}
    records = {
        task: make_task(
            values[task],
            samples,
            accuracy=confusions[task]["accuracy"],
            num_questions=len(tasks[task]),
            unparseable=silent[task],
        )
        for task in order
    }
    if len(tasks.get("random", ())) in RANDOM_VERSIONS:
        figures["random_version"] = len(tasks["random"])
    return Result(
        headline=make_headline(values, "mean", samples, name="mean F1", maximum=1, num_questions=len(answers)),
        tasks=records,
        figures=figures,
        counts={"neither_yes_nor_no": sum(silent.values())},
        baselines={
            "constant_answer": Baseline(
                value=total(groups_of({t: f1_values(tasks[t], ["yes"] * len(tasks[t])) for t in order}, "mean")),
                how="`yes` to every question, scored like a model",
            )
        },
        correct={task: _correct(tasks[task], guesses[task]) for task in order},
        values=values,
    )


def confusion(answers: Sequence[Answered], guesses: Sequence[str]) -> dict[str, float]:
    """The numbers that the official tool prints of one split; `yes` is positive, and 0 / 0 is 0."""
    counts = Counter((guess, answer.label) for answer, guess in zip(answers, guesses, strict=True))
    true_yes, false_yes = counts["yes", "yes"], counts["yes", "no"]
    true_no, false_no = counts["no", "no"], counts["no", "yes"]
    return {
        "accuracy": (true_yes + true_no) / len(answers),
        "precision": true_yes / max(1, true_yes + false_yes),
        "recall": true_yes / max(1, true_yes + false_no),
        "f1": 2 * true_yes / max(1, 2 * true_yes + false_yes + false_no),
        "yes_ratio": (true_yes + false_yes) / len(answers),
        "tp": true_yes,
        "fp": false_yes,
        "tn": true_no,
        "fn": false_no,
    }


def f1_values(answers: Sequence[Answered], guesses: Sequence[str]) -> dict[str, list[float]]:
    """What each image adds to F1, 2 TP and 2 TP + FP + FN: F1 is the ratio of their sums over images.

    An image without any yes adds nothing. Where no image has one, the ratio is 0 / 0, which counts as 0.
    """
    values: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for answer, guess in zip(answers, guesses, strict=True):
        pair = values[answer.image]
        pair[0] += 2.0 * (guess == answer.label == "yes")
        pair[1] += float(guess == "yes") + float(answer.label == "yes")
    if not any(below for _, below in values.values()):
        return {image: [0.0, 1.0] for image in values}
    return dict(values)


def _correct(answers: Sequence[Answered], guesses: Sequence[str]) -> dict[str, list[int]]:
    marks: dict[str, list[int]] = defaultdict(list)
    for answer, guess in zip(answers, guesses, strict=True):
        marks[answer.image].append(int(guess == answer.label))
    return dict(marks)
