"""Parts of score records that all benchmarks share, and what statistics need of such a record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pargo.errors import PargoError
from pargo.report.statistics import Groups, estimate

UNKNOWN = "unknown"  # a part of an edition of which nothing is known

Rule = Literal["sum", "mean", "pooled"]
# task -> image -> (numerator, denominator)
Values = Mapping[str, Mapping[str, Sequence[float]]]
# task -> image -> 1 for right, 0 for wrong, of each question in the order of the file
Correct = Mapping[str, Mapping[str, Sequence[float]]]


def headline_record(
    values: Values, rule: Rule, samples: int, *, name: str, maximum: float, num_questions: int
) -> dict[str, Any]:
    """The record's `headline`: the score over all tasks with its interval.

    Args:
        values: see `pargo.benchmarks.score.score_answers`.
        rule: how the tasks' ratios become one number.
        samples: bootstrap draws.
        name: for readers, e.g. `accuracy`.
        maximum: the best possible score.
        num_questions: of all tasks.
    """
    found = estimate([groups_of(values, rule)], samples)
    return {
        "name": name,
        "rule": rule,
        "maximum": maximum,
        "value": found.value,
        "interval": list(found.interval),
        "num_questions": num_questions,
        "num_images": len({image for images in values.values() for image in images}),
    }


def task_record(
    values: Mapping[str, Sequence[float]],
    samples: int,
    *,
    accuracy: float | None = None,
    accuracy_plus: float | None = None,
    num_questions: int,
    unparseable: int,
) -> dict[str, Any]:
    """One entry of the record's `tasks`.

    Args:
        values: image -> (numerator, denominator).
        samples: bootstrap draws.
        accuracy: share of right answers; by default the score itself.
        accuracy_plus: share of images with all answers right, where the benchmark has it.
        num_questions: of this task.
        unparseable: answers that the parser could make nothing of.
    """
    found = estimate([{"task": _pairs(values)}], samples)
    return {
        "score": found.value,
        "accuracy": found.value if accuracy is None else accuracy,
        "accuracy_plus": accuracy_plus,
        "interval": list(found.interval),
        "num_questions": num_questions,
        "num_images": len(values),
        "unparseable": unparseable,
    }


def _pairs(images: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    return {image: (float(pair[0]), float(pair[1])) for image, pair in images.items()}


def shares(correct: Correct) -> dict[str, dict[str, list[float]]]:
    """Values of plain accuracy: of each image, its right answers over its questions."""
    return {
        name: {image: [float(sum(marks)), float(len(marks))] for image, marks in images.items()}
        for name, images in correct.items()
    }


def edition_words(record: Mapping[str, Any]) -> str:
    """For readers, e.g. `split dev, language EN, version 1.0`; empty where a benchmark has no editions."""
    return ", ".join(f"{part} {value}" for part, value in record.get("edition", {}).items())


def is_graded(record: Mapping[str, Any]) -> bool:
    """False where answers wait for a judge."""
    return record["headline"]["value"] is not None


def headline_groups(record: Mapping[str, Any]) -> Groups:
    """What `pargo.report.statistics` needs to compare the headlines of score records of one benchmark."""
    return groups_of(record["values"], record["headline"]["rule"])


def task_groups(record: Mapping[str, Any], task: str) -> Groups:
    """The same for the score of one task."""
    return groups_of({task: record["values"][task]}, "sum")


def groups_of(values: Mapping[str, Mapping[str, Sequence[float]]], rule: Rule) -> Groups:
    """Groups whose `total` is the headline: of the tasks as they are (sum), scaled (mean), or as one (pooled)."""
    if rule == "pooled":
        pooled: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for images in values.values():
            for image, (numerator, denominator) in images.items():
                pooled[image][0] += numerator
                pooled[image][1] += denominator
        return {"all": {image: (pair[0], pair[1]) for image, pair in pooled.items()}}
    if rule not in ("sum", "mean"):
        raise PargoError(f"unknown rule of a headline {rule!r}; choices: sum, mean, pooled")
    share = len(values) if rule == "mean" else 1
    return {
        task: {image: (pair[0] / share, pair[1]) for image, pair in images.items()} for task, images in values.items()
    }
