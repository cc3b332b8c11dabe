"""Score files of a run as objects, checked field by field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from pargo.benchmarks.summary import Rule, groups_of
from pargo.config.base import Settings
from pargo.config.words import expected
from pargo.errors import PargoError
from pargo.report.statistics import Groups, total

SEED_FOLDER = re.compile(r"seed-\d+")

ByImage = Mapping[str, Mapping[str, Sequence[float]]]  # task -> image -> numbers


class Part(Settings, extra="ignore", allow_inf_nan=False):
    """What a comparison reads of a score record: see `pargo.benchmarks.score.score_answers`."""


class Headline(Part):
    """The score over all tasks; `value` is None where answers wait for a judge."""

    name: str
    rule: Rule
    maximum: float
    value: float | None
    num_questions: int
    num_images: int


class Task(Part):
    """One task."""

    num_questions: int


class Record(Part):
    """One run's score on one benchmark."""

    benchmark: str
    parser: str
    parser_version: int
    edition: dict[str, str] = Field(default_factory=dict)  # empty in files of older versions
    asked: dict[str, str]
    judges: tuple[str, ...] = ()
    headline: Headline
    tasks: dict[str, Task]
    values: dict[str, dict[str, tuple[float, float]]]
    correct: dict[str, dict[str, tuple[float, ...]]]

    @property
    def is_graded(self) -> bool:
        return self.headline.value is not None

    def groups(self, task: str | None) -> Groups:
        """What is bootstrapped: for the headline (None) or a task."""
        return (
            groups_of(self.values, self.headline.rule) if task is None else groups_of({task: self.values[task]}, "sum")
        )

    def num_questions(self, task: str | None) -> int:
        return self.headline.num_questions if task is None else self.tasks[task].num_questions

    def num_images(self, task: str | None) -> int:
        return self.headline.num_images if task is None else len(self.values[task])

    def marks(self, task: str | None) -> list[float]:
        """1 for right and 0 for wrong of every question; the same place is the same question where `asked` is equal."""
        tasks = sorted(self.correct) if task is None else [task] if task in self.correct else []
        return [mark for name in tasks for image in sorted(self.correct[name]) for mark in self.correct[name][image]]


class ScoreFile(Settings):
    """A score record, and the file it stands in."""

    path: Path
    record: Record


def read_score(path: Path) -> ScoreFile:
    """A score file, whole enough to be compared; PargoError names the bad field otherwise."""
    try:
        record = Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PargoError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PargoError(
            f"{path} is not a score file of `pargo score`{f', {where}' if where else ''}: {expected(first)}"
            " (files of older versions must be scored again)"
        ) from None
    if lost := sorted(record.values.keys() - record.tasks.keys()):
        raise PargoError(f"{path} is not a score file of `pargo score`: `tasks` lacks {lost[0]!r} of `values`")
    try:
        for task in (None, *record.values) if record.is_graded else ():
            total(record.groups(task))
    except (PargoError, OverflowError) as error:
        raise PargoError(f"{path}: {error}") from error
    return ScoreFile(path=path, record=record)


def find_scores(run: Path) -> list[dict[str, Path]]:
    """For each seed of a run, its score files by name of the benchmark.

    Raises:
        PargoError: no such run, a folder that holds no scores or both kinds, or a benchmark that one seed lacks.
    """
    if run.is_file():
        return [{run.stem: run}]
    if not run.is_dir():
        raise PargoError(
            f"{run} does not exist; expected a score file, or a folder of score files or of seed-<n> folders"
        )
    files = _score_files(run)
    seeds = [folder for folder in sorted(run.iterdir()) if folder.is_dir() and SEED_FOLDER.fullmatch(folder.name)]
    if files and seeds:
        raise PargoError(f"{run} holds score files and seed-<n> folders; name one of them")
    if not files and not seeds:
        raise PargoError(f"{run} holds neither score files (*.json) nor seed-<n> folders")
    by_seed = {folder: _score_files(folder) for folder in seeds} or {run: files}
    for folder, found in by_seed.items():
        for other, names in by_seed.items():
            if lost := sorted(names.keys() - found.keys()):
                raise PargoError(f"{folder} lacks {lost[0]}.json, which {other} holds")
    if not all(by_seed.values()):
        raise PargoError(f"the seed-<n> folders of {run} hold no score files (*.json)")
    return list(by_seed.values())


def _score_files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.json")) if path.is_file()}
