"""A benchmark by task: its score and all other measures, of each arm over all seeds, and of each seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pargo.report import words
from pargo.report.cells import Cell, Column, Row, Table, Unit
from pargo.report.measure import UNITS, headline, other_measure, task_score
from pargo.report.notes import notes, seed_note
from pargo.report.scores import Score, Scores
from pargo.report.settings import ReportSettings

MEAN = "mean"
UNDEFINED = (
    "Mean: over kinds, unknown where one has no value. Draws of images in which a kind has no value are left out of "
    "its interval; there is none where these are more than one in twenty."
)
HEADS = {"measure": "Measure", "projector": "Projector", "seed": "Seed"}


def by_task_table(settings: ReportSettings, scores: Scores, benchmark: str) -> Table:
    """A block of rows for each measure; below the benchmark's own score, what needs no image at all.

    Args:
        benchmark: one of `tables_by_task`.
    """
    by_task, name = settings.benchmarks[benchmark].by_task, words.benchmark(settings, benchmark)
    assert by_task is not None
    groups = [scores[arm, benchmark] for arm in settings.projectors]
    measures = list(dict.fromkeys(measure for group in groups for score in group for measure in score.record.measures))
    rows = list(_score_rows(settings, scores, benchmark, by_task.score))
    for measure in measures:
        rows += _measure_rows(settings, scores, benchmark, measure)
    explained = [words.MEASURES[measure] for measure in measures if measure in words.MEASURES]
    tasks = tuple(Column(task, words.task(task)) for task in groups[0][0].record.tasks)
    return Table(
        name=benchmark,
        caption=f"{name} by {by_task.task}, config {settings.config} ({settings.report.scale}), with 95 % intervals.",
        heads=HEADS,
        columns=(*tasks, Column(MEAN, "Mean")),
        rows=tuple(rows),
        notes=(
            *explained,
            UNDEFINED,
            *notes(settings, scores, [benchmark]),
            seed_note(settings, "First rows of a projector"),
        ),
        block="measure",
    )


def _score_rows(settings: ReportSettings, scores: Scores, benchmark: str, key: str) -> Iterator[Row]:
    samples, example = settings.report.bootstrap_samples, scores[next(iter(settings.projectors)), benchmark][0]
    record = example.record

    def cells(group: Sequence[Score]) -> dict[str, Cell]:
        return {task: task_score(group, task, samples) for task in record.tasks} | {MEAN: headline(group, samples)}

    unit: Unit = "percent" if record.points_per_task is None else "points"
    title = f"{key} ({'%' if unit == 'percent' else unit})"
    yield from _rows(settings, scores, benchmark, key, title, cells)
    for baseline, entry in record.baselines.items():
        values = {**entry.tasks, MEAN: entry.value}
        files = (example.path.as_posix(),)
        found = {task: Cell(value, unit, "computed", files=files, note=entry.how) for task, value in values.items()}
        texts = {"measure": title, "projector": words.in_words(baseline), "seed": ""}
        yield Row(f"{benchmark}.{key}.{baseline}", key, texts, found)


def _measure_rows(settings: ReportSettings, scores: Scores, benchmark: str, measure: str) -> Iterator[Row]:
    samples = settings.report.bootstrap_samples

    def cells(group: Sequence[Score]) -> dict[str, Cell]:
        # the answers' own tasks: a loss is of tokens, and existence has none of its own
        tasks = list(group[0].record.measures.get(measure, {}))
        found = {task: other_measure(group, measure, [task], samples) for task in tasks}
        return found | {MEAN: other_measure(group, measure, tasks, samples)}

    unit = "nats a token" if measure in UNITS else "%"
    yield from _rows(settings, scores, benchmark, measure, f"{words.in_words(measure)} ({unit})", cells)


def _rows(
    settings: ReportSettings,
    scores: Scores,
    benchmark: str,
    measure: str,
    title: str,
    cells: Callable[[Sequence[Score]], dict[str, Cell]],
) -> Iterator[Row]:
    names = words.projectors(settings)
    for arm in settings.projectors:
        group = scores[arm, benchmark]
        key, texts = f"{benchmark}.{measure}.{arm}", {"measure": title, "projector": names[arm]}
        if len(group) > 1:
            yield Row(key, measure, texts | {"seed": f"mean of {len(group)}"}, cells(group))
        for score in group:
            own = f"{key}.seed-{score.seed}" if len(group) > 1 else key
            yield Row(own, measure, texts | {"seed": str(score.seed)}, cells([score]))
