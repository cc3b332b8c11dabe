"""A score record: the result of one set of answers on one benchmark, as it is computed, written, read and shown.

A benchmark's `score` makes the `Result`, `score.py` beside this a `ScoreRecord` of it, which is written as JSON, and
`read_score` of `score_file.py` reads that. Fields that were not given are not written.

Where answers wait for a judge the record is *not graded*: headline and tasks have neither value nor interval.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pydantic import Field, NonNegativeInt

from pargo.benchmarks.scores.score_parts import (
    Baseline,
    Correct,
    Figure,
    HarnessRecord,
    Headline,
    Part,
    Rule,
    Task,
    Values,
    Words,
)
from pargo.errors import PargoError
from pargo.statistics import Groups


class Head(Part):
    """Which benchmark was scored, and how its answers were read."""

    benchmark: str  # its kind, e.g. `mini_mme`
    parser: str  # one of the benchmark's `PARSERS`, e.g. `official`
    parser_version: int  # scores by two versions of a parser are not comparable
    asked: Mapping[str, str]  # by task a hash of its questions: see `pargo.benchmarks.scores.score.asked`


class Result(Part):
    """What a benchmark's `score` gives.

    A task's score is the ratio of the sums over its images of `values`; the headline follows by its `rule`.
    """

    edition: Mapping[str, str] = Field(default_factory=dict)  # part -> value or `unknown`
    headline: Headline  # the score over all tasks
    tasks: Mapping[str, Task]  # by name, in the order of the official tool
    figures: Mapping[str, Figure]  # whatever else the official tool prints: a number, or names and numbers
    counts: Mapping[str, NonNegativeInt]  # of answers or questions with something unusual, by its name
    judges: Words = ()  # models that graded, as far as the grades say
    baselines: Mapping[str, Baseline]  # scores without looking at an image, by name
    correct: Correct  # a mark for each answer; empty where answers are not right or wrong, or not graded
    values: Values  # what each image adds; empty where nothing is graded
    # other ratios of the same answers by name, as `values`; of a task whose denominators are all 0 there is none
    measures: Mapping[str, Values] = Field(default_factory=dict)

    @property
    def is_graded(self) -> bool:
        """False where answers wait for a judge."""
        return self.headline.value is not None

    @property
    def points_per_task(self) -> float | None:
        """The best score of a task where the headline is a sum of points over tasks (200 of MME's); else None."""
        return self.headline.maximum / len(self.tasks) if self.headline.rule == "sum" and self.tasks else None

    @property
    def unparseable(self) -> int:
        """Answers of which the parser could make nothing."""
        return sum(task.unparseable for task in self.tasks.values())

    @property
    def edition_words(self) -> str:
        """For readers, e.g. `split dev, language EN, version 1.0`; empty where a benchmark has no editions."""
        return ", ".join(f"{part} {value}" for part, value in self.edition.items())

    def line(self, task: str | None) -> tuple[float | None, tuple[float, float] | None]:
        """Value and interval of the headline (None) or a task."""
        return (
            (self.headline.value, self.headline.interval)
            if task is None
            else (self.tasks[task].score, self.tasks[task].interval)
        )

    def num_questions(self, task: str | None) -> int:
        """Number of questions behind the headline (task None) or a task's score."""
        return self.headline.num_questions if task is None else self.tasks[task].num_questions

    def num_images(self, task: str | None) -> int:
        """Number of images behind the headline (task None) or a task's score."""
        return self.headline.num_images if task is None else self.tasks[task].num_images

    def groups(self, task: str | None) -> Groups:
        """What `pargo.statistics` draws from: for the headline (None) or a task."""
        return (
            groups_of(self.values, self.headline.rule) if task is None else groups_of({task: self.values[task]}, "sum")
        )

    def marks(self, task: str | None) -> list[float]:
        """Marks of every question of the headline (None) or a task, by task and image.

        The same place is the same question in two records whose `asked` is equal.
        """
        tasks = sorted(self.correct) if task is None else [task] if task in self.correct else []
        return [mark for name in tasks for image in sorted(self.correct[name]) for mark in self.correct[name][image]]

    def number(self, name: str) -> float:
        """One of the figures that are a number; PargoError where there is none."""
        if isinstance(found := self.figures.get(name), int | float):
            return found
        raise PargoError(f"the record has no number {name!r} among its figures: {', '.join(self.figures)}")

    def numbers(self, name: str) -> dict[str, float]:
        """One of the figures that are names and numbers; PargoError where there is none."""
        if isinstance(found := self.figures.get(name), Mapping):
            return dict(found)
        raise PargoError(f"the record has no table {name!r} among its figures: {', '.join(self.figures)}")


class ScoreRecord(Result, Head):  # pydantic takes fields from the last base first: that is their order in files
    """One score file."""

    inputs: Mapping[str, str] = Field(default_factory=dict)  # path -> sha256: result files, or manifests
    notes: Words = ()  # on what was taken of unusual files, a sentence each
    harness: HarnessRecord | None = None  # only where `pargo score --as` asked for it


def groups_of(values: Mapping[str, Mapping[str, Sequence[float]]], rule: Rule) -> Groups:
    """Groups whose `total` is the headline: of the tasks as they are (sum), scaled (mean), or as one (pooled).

    Args:
        values: task -> image -> (numerator, denominator).
    """
    if rule == "pooled":
        pooled: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for images in values.values():
            for image, (numerator, denominator) in images.items():
                pooled[image][0] += numerator
                pooled[image][1] += denominator
        return {"all": {image: (pair[0], pair[1]) for image, pair in pooled.items()}}
    share = len(values) if rule == "mean" else 1
    return {
        task: {image: (pair[0] / share, pair[1]) for image, pair in images.items()} for task, images in values.items()
    }


def has_ratio(images: Mapping[str, Sequence[float]]) -> bool:
    """Whether the denominators of a task do not sum to 0.

    Args:
        images: image -> (numerator, denominator).
    """
    return any(pair[1] for pair in images.values())
