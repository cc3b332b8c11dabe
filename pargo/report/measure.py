"""Score files as table cells: as they are for one seed, combined for several, and paired differences of two arms."""

from __future__ import annotations

from collections.abc import Sequence

from pargo.benchmarks.summary import headline_groups, is_graded, task_groups
from pargo.report.cells import Cell, Unit
from pargo.report.scores import Score
from pargo.report.statistics import Estimate, estimate
from pargo.report.statistics import difference as paired_difference

NOT_GRADED = "not graded: no judge has read the answers"


def _graded(scores: Sequence[Score]) -> bool:
    return all(is_graded(score.data) for score in scores)


def has_tasks(score: Score) -> bool:
    """Whether the headline is the sum of tasks of 200 points (MME's scheme) and not one share of right answers."""
    return score.data["headline"]["rule"] == "sum"


def headline_column(score: Score) -> str:
    """Key of the headline's column: `total`, `accuracy`, `mean_f1`."""
    return "total" if has_tasks(score) else score.data["headline"]["name"].lower().replace(" ", "_")


def headline_title(score: Score) -> str:
    """Of a headline that is a share, for readers: `Accuracy (%)`, `Mean F1 (%)`."""
    name = score.data["headline"]["name"]
    return f"{name[:1].upper()}{name[1:]} (%)"


def task_names(score: Score) -> list[str]:
    return list(score.data["tasks"])


def max_score(score: Score) -> int:
    return score.data["headline"]["maximum"]


def unparseable(score: Score) -> int:
    return sum(task["unparseable"] for task in score.data["tasks"].values())


def headline(scores: Sequence[Score], samples: int) -> Cell:
    """The score of one arm on one benchmark: of its only seed, as in the file, or the mean of its seeds."""
    lines = [score.data["headline"] for score in scores]
    if not _graded(scores):
        return Cell(None, "percent", "unknown", files=_files(scores), note=NOT_GRADED)
    combined = None if len(scores) == 1 else estimate([headline_groups(score.data) for score in scores], samples)
    values = [line["value"] for line in lines]
    return _cell(scores, values, lines[0]["interval"], lines[0]["num_images"], combined)


def task_score(scores: Sequence[Score], task: str, samples: int) -> Cell:
    """The same for one task."""
    lines = [score.data["tasks"][task] for score in scores]
    combined = None if len(scores) == 1 else estimate([task_groups(score.data, task) for score in scores], samples)
    return _cell(scores, [line["score"] for line in lines], lines[0]["interval"], lines[0]["num_images"], combined)


def _cell(
    scores: Sequence[Score], values: list[float], interval: Sequence[float], images: int, combined: Estimate | None
) -> Cell:
    low, high = combined.interval if combined else interval
    return Cell(
        combined.value if combined else values[0],
        "points" if has_tasks(scores[0]) else "percent",
        "measured",
        interval=(low, high),
        n=images,
        seeds=tuple(score.seed for score in scores),
        seed_values=tuple(values),
        files=_files(scores),
    )


def difference(ours: Sequence[Score], others: Sequence[Score], samples: int, task: str | None = None) -> Cell:
    """Mean score of one arm minus that of another on the same images, of the headline or of one task.

    The interval is paired by image.
    """
    if not _graded([*ours, *others]):
        return Cell(None, "percent_difference", "unknown", files=_files([*ours, *others]), note=NOT_GRADED)
    first, second = (
        [headline_groups(score.data) if task is None else task_groups(score.data, task) for score in scores]
        for scores in (ours, others)
    )
    result = paired_difference(first, second, samples)
    line = ours[0].data["headline"] if task is None else ours[0].data["tasks"][task]
    return Cell(
        result.value,
        "difference" if has_tasks(ours[0]) else "percent_difference",
        "measured",
        interval=result.interval,
        n=line["num_images"],
        seeds=tuple(score.seed for score in ours),
        files=_files([*ours, *others]),
    )


def baselines(score: Score) -> dict[str, dict[str, Cell]]:
    """What a benchmark gives without looking at an image, by baseline and then by column (`total`, a task, ...).

    Where the headline is a sum of tasks, each task gets its equal part: all tasks ask pairs of one Yes and one No.
    """
    cells: dict[str, dict[str, Cell]] = {}
    for name, baseline in score.data["baselines"].items():
        paired = has_tasks(score)
        unit: Unit = "points" if paired else "percent"
        interval = tuple(baseline["interval"]) if "interval" in baseline else None
        files, note = _files([score]), baseline["how"]
        total = Cell(baseline["value"], unit, "computed", interval=interval, files=files, note=note)
        row = {headline_column(score): total}
        if paired:
            part = Cell(baseline["value"] / len(score.data["tasks"]), unit, "computed", files=files, note=note)
            row = dict.fromkeys(task_names(score), part) | row
        cells[name] = row
    return cells


def _files(scores: Sequence[Score]) -> tuple[str, ...]:
    return tuple(score.path.as_posix() for score in scores)
