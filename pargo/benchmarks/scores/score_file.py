"""Score files, read and checked field by field, and those of a run."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from pargo.benchmarks.scores.score_record import ScoreRecord
from pargo.config.base import Settings
from pargo.config.words import expected
from pargo.errors import PargoError
from pargo.layout import seed_of
from pargo.statistics import total


class ScoreFile(Settings):
    """A score record, and the file it stands in."""

    path: Path
    record: ScoreRecord


def read_score(path: Path) -> ScoreFile:
    """A score file.

    Raises:
        PargoError: no file, or one that is no whole score record; names the bad field.
    """
    try:
        # a field that this version does not know is of a later one, and changes nothing that it knows
        record = ScoreRecord.model_validate_json(path.read_bytes(), extra="ignore")
    except OSError as error:
        raise PargoError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PargoError(
            f"{path} is not a score file of `pargo score`{f', {where}' if where else ''}: {expected(first)}"
            " (files of older versions must be scored again)"
        ) from None
    _check(path, record)
    return ScoreFile(path=path, record=record)


def _check(path: Path, record: ScoreRecord) -> None:
    """Raise PargoError unless the parts of a record fit together."""
    wrong = f"{path} is not a score file of `pargo score`"
    if lost := sorted(record.values.keys() - record.tasks.keys()):
        raise PargoError(f"{wrong}: `tasks` lacks {lost[0]!r} of `values`")
    if not record.is_graded:
        return
    try:
        for task in (None, *record.values):
            total(record.groups(task))
    except (PargoError, OverflowError) as error:
        raise PargoError(f"{path}: {error}") from error
    if lost := sorted(record.tasks.keys() - record.values.keys()):
        raise PargoError(f"{wrong}: `values` lacks {lost[0]!r} of `tasks`")
    if lost := sorted(name for name, task in record.tasks.items() if task.score is None):
        raise PargoError(f"{wrong}, tasks.{lost[0]}.score: null, though the headline is graded")


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
    seeds = [folder for folder in sorted(run.iterdir()) if folder.is_dir() and seed_of(folder) is not None]
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
