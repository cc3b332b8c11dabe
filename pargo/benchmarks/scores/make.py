"""Parts of score records that all benchmarks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pargo.benchmarks.scores.score_parts import Headline, Rule, Task
from pargo.benchmarks.scores.score_record import groups_of
from pargo.estimates import estimate, estimate_defined

UNKNOWN = "unknown"  # a part of an edition of which nothing is known


def make_headline(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    rule: Rule,
    samples: int,
    *,
    name: str,
    maximum: float,
    num_questions: int,
    defined: bool = False,
) -> Headline:
    """The score over all tasks with its interval.

    Args:
        values: task -> image -> (numerator, denominator).
        rule: how the tasks' ratios become one number.
        samples: bootstrap draws.
        name: for readers, e.g. `accuracy`.
        maximum: the best possible score.
        num_questions: of all tasks.
        defined: draws in which a task's denominators sum to 0 have no value; else they count as 0.
    """
    value, interval = (estimate_defined if defined else estimate)([groups_of(values, rule)], samples)
    return Headline(
        name=name,
        rule=rule,
        maximum=maximum,
        value=value,
        interval=interval,
        num_questions=num_questions,
        num_images=len({image for images in values.values() for image in images}),
    )


def make_task(
    values: Mapping[str, Sequence[float]],
    samples: int,
    *,
    accuracy: float | None = None,
    accuracy_plus: float | None = None,
    num_questions: int,
    unparseable: int,
    defined: bool = False,
) -> Task:
    """One task with its interval.

    Args:
        values: image -> (numerator, denominator).
        samples: bootstrap draws.
        accuracy: share of right answers; by default the score itself.
        accuracy_plus: share of images with all answers right, where the benchmark has it.
        num_questions: of this task.
        unparseable: answers that the parser could make nothing of.
        defined: as of `make_headline`.
    """
    value, interval = (estimate_defined if defined else estimate)([groups_of({"task": values}, "sum")], samples)
    return Task(
        score=value,
        accuracy=value if accuracy is None else accuracy,
        accuracy_plus=accuracy_plus,
        interval=interval,
        num_questions=num_questions,
        num_images=len(values),
        unparseable=unparseable,
    )


def shares(correct: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, list[float]]]:
    """Values of plain accuracy: of each image, its right answers over its questions.

    Args:
        correct: task -> image -> 1 for right, 0 for wrong, of each question.
    """
    return {
        name: {image: [float(sum(marks)), float(len(marks))] for image, marks in images.items()}
        for name, images in correct.items()
    }
