"""Score files as table cells: as they are for one seed, combined for several, and paired differences of two arms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from pargo.benchmarks.scores.score_record import groups_of, has_ratio
from pargo.estimates import Difference, estimate, estimate_defined
from pargo.estimates import difference as difference_of_runs
from pargo.report.cells import Cell, Unit
from pargo.report.scores import Score
from pargo.statistics import total

UNITS: dict[str, Unit] = {"loss": "nats"}  # of measures that are no shares
ALL = "all"  # column of the score over all tasks
NOT_GRADED = "not graded: no judge has read the answers"
RULES = {"sum": "the sum over tasks", "mean": "the mean over tasks", "pooled": "of all questions together"}
OVER_IMAGES = "interval: 95 %, bootstrap over images"
OVER_SEEDS = "interval: 95 %, bootstrap over images and Satterthwaite's t over seeds"


def is_graded(scores: Sequence[Score]) -> bool:
    """False where the answers of any of them wait for a judge."""
    return all(score.record.is_graded for score in scores)


def headline_column(score: Score) -> str:
    """Key of the headline's column: `total`, `accuracy`, `mean_f1`."""
    record = score.record
    return record.headline.name.lower().replace(" ", "_") if record.points_per_task is None else "total"


def headline_title(score: Score) -> str:
    """Title of the headline column of a benchmark whose score is a share: `Accuracy (%)`, `Mean F1 (%)`."""
    name = score.record.headline.name
    return f"{name[:1].upper()}{name[1:]} (%)"


def headline(scores: Sequence[Score], samples: int) -> Cell:
    """The score of one arm on one benchmark: of its only seed, as in the file, or the mean of its seeds.

    Unknown where a seed is not graded.
    """
    return _score(tuple(scores), None, samples)


def task_score(scores: Sequence[Score], task: str, samples: int) -> Cell:
    """The score of one arm on one task of a benchmark, like `headline`."""
    return _score(tuple(scores), task, samples)


@lru_cache(maxsize=1024)  # tables and figures show the same
def _score(scores: tuple[Score, ...], task: str | None, samples: int) -> Cell:
    first, files = scores[0].record, _files(scores)
    unit: Unit = "percent" if first.points_per_task is None else "points"
    values = [value for score in scores if (value := score.record.line(task)[0]) is not None]
    if len(values) < len(scores) or not is_graded(scores):
        return Cell(None, unit, "unknown", files=files, note=NOT_GRADED)
    value, interval = first.line(task)
    if len(scores) > 1:
        # as its one seed was scored: where there are other measures, scores are ratios like them
        chosen = estimate_defined if first.measures else estimate
        bounds = 0.0, first.headline.maximum if task is None else first.points_per_task or 1.0
        value, interval = chosen([score.record.groups(task) for score in scores], samples, bounds=bounds)
    what = f"score of task {task}" if task else f"{first.headline.name} ({RULES[first.headline.rule]})"
    return Cell(
        value,
        unit,
        "measured",
        interval=interval,
        n=first.num_images(task),
        seeds=tuple(score.seed for score in scores),
        seed_values=tuple(values),
        files=files,
        where=_where(task),
        formula=_over(scores, f"{what} as in the file"),
    )


def _where(task: str | None) -> str:
    return f"tasks.{task}.score" if task else "headline.value"


def _over(scores: Sequence[Score], what: str) -> str:
    return f"{what}; {OVER_IMAGES}" if len(scores) == 1 else f"mean over seeds of: {what}; {OVER_SEEDS}"


def other_measure(scores: Sequence[Score], measure: str, tasks: Sequence[str], samples: int) -> Cell:
    """One of the `measures` of score records, like `headline`: the mean of some tasks, or of one.

    Unknown where the answers of a seed give none for one of the tasks.
    """
    unit, digits = UNITS.get(measure, "percent"), 3 if measure in UNITS else 1
    found = [score.record.measures.get(measure, {}) for score in scores]
    if not tasks or not all(has_ratio(values.get(task, {})) for values in found for task in tasks):
        why = "no token was its own" if measure == "loss" else "nothing was said of it"
        return Cell(None, unit, "unknown", files=_files(scores), note=f"no {measure}: {why}")
    runs = [groups_of({task: values[task] for task in tasks}, "mean") for values in found]
    value, interval = estimate_defined(runs, samples, bounds=(0.0, math.inf if measure in UNITS else 1.0))
    return Cell(
        value,
        unit,
        "measured",
        interval=interval,
        n=len({image for images in runs[0].values() for image in images}),
        seeds=tuple(score.seed for score in scores),
        seed_values=tuple(map(total, runs)),
        files=_files(scores),
        where=f"measures.{measure}" + (f".{tasks[0]}" if len(tasks) == 1 else ""),
        formula=_over(
            scores,
            f"{measure}: sum of first numbers / sum of second ones"
            + ("" if len(tasks) == 1 else ", the mean over tasks"),
        ),
        digits=digits,
    )


def difference(
    ours: Sequence[Score], others: Sequence[Score], samples: int, task: str | None = None
) -> tuple[Cell, Difference | None]:
    """Mean score of one arm minus that of another on the same images, of the headline or of one task.

    Unknown where a seed of either is not graded.
    """
    first, files = ours[0].record, _files([*ours, *others])
    unit: Unit = "percent_difference" if first.points_per_task is None else "difference"
    if not is_graded([*ours, *others]):
        return Cell(None, unit, "unknown", files=files, note=NOT_GRADED), None
    result = difference_of_runs(
        [score.record.groups(task) for score in ours], [score.record.groups(task) for score in others], samples
    )
    cell = Cell(
        result.value,
        unit,
        "measured",
        interval=result.interval,
        n=first.num_images(task),
        seeds=tuple(score.seed for score in ours),
        files=files,
        where=_where(task),
        formula=f"{_mean(ours)} minus {_mean(others)}, paired by image; "
        + (OVER_IMAGES if result.spread is None else OVER_SEEDS),
    )
    return cell, result


def _mean(scores: Sequence[Score]) -> str:
    return f"{'mean of ' if len(scores) > 1 else ''}{scores[0].arm}"


def baselines(score: Score) -> dict[str, dict[str, Cell]]:
    """What a benchmark gives without looking at an image, by baseline and then by column: tasks, and `ALL`.

    Where the headline is a sum of tasks, and a baseline knows no tasks, each gets its equal part: all ask pairs of one
    Yes and one No.
    """
    cells: dict[str, dict[str, Cell]] = {}
    record, files = score.record, _files([score])
    paired = record.points_per_task is not None
    unit: Unit = "points" if paired else "percent"
    for name, baseline in record.baselines.items():
        equal = paired and not baseline.tasks
        part = {task: baseline.value / len(record.tasks) for task in record.tasks} if equal else baseline.tasks
        where, formula = f"baselines.{name}.value", f"{record.headline.name} of {baseline.how}"
        cells[name] = {
            task: Cell(
                value,
                unit,
                "computed",
                files=files,
                where=where if equal else f"baselines.{name}.tasks.{task}",
                formula=formula + (f", an equal part of each of {len(record.tasks)} tasks" if equal else ""),
                note=baseline.how,
            )
            for task, value in part.items()
        } | {
            ALL: Cell(
                baseline.value,
                unit,
                "computed",
                interval=baseline.interval,
                files=files,
                where=where,
                formula=formula,
                note=baseline.how,
            )
        }
    return cells


def _files(scores: Sequence[Score]) -> tuple[str, ...]:
    return tuple(score.path.as_posix() for score in scores)
