"""Stage `grade`: a judge model grades the answers to a benchmark that no rule can score."""

from __future__ import annotations

from pathlib import Path

from pargo.benchmarks.mmvet.judge import grade
from pargo.benchmarks.records import PREDICTIONS, read_predictions
from pargo.benchmarks.scores.score import GRADES
from pargo.code import import_closure
from pargo.config.base import Settings
from pargo.config.judge import Judge
from pargo.errors import PargoError
from pargo.manifest import publish, verify


class GradeSettings(Settings, hide_input_in_errors=True):
    """What the stage reads of the config."""

    judge: Judge


def run(settings: GradeSettings, predictions: Path, run_directory: Path, output: Path) -> None:
    """Write `grades.json` in the official format; grades so far are kept in `run_directory`.

    Raises:
        PargoError: predictions that differ from their manifest, a judge that cannot be asked, or answers that it does
            not grade: a score over the rest would be another benchmark's.
    """
    verify(predictions)
    answers = read_predictions(predictions / PREDICTIONS)
    run_directory.mkdir(parents=True, exist_ok=True)
    file = run_directory / GRADES
    grading = grade(answers, settings.judge, file, run_directory=run_directory)
    if grading.ungraded:
        name, reason = next(iter(grading.ungraded.items()))
        number = f"{len(grading.ungraded)} of {len(answers)} answers"
        raise PargoError(f"{number} have no grade, e.g. {name}: {reason}; the others are kept")
    code = import_closure("pargo.benchmarks.mmvet.grade")
    with publish(output, settings=settings, inputs=[predictions], code=code) as directory:
        (directory / GRADES).write_bytes(file.read_bytes())
