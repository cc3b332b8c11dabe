"""A benchmark by task: its score and all other measures, of each arm over all seeds, and of each seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pargo.report import words
from pargo.report.cells import Cell, Column, Row, Table
from pargo.report.measure import ALL, UNITS, baselines, headline, other_measure, task_score
from pargo.report.notes import notes, seed_note
from pargo.report.scores import Score, Scores
from pargo.report.settings import ReportSettings

UNDEFINED = (
    "Mean: over kinds, unknown where one has no value. Draws of images in which a kind has no value are left out of "
    "its interval; there is none where these are more than one in twenty."
)
HEADS = {"measure": "Measure", "projector": "Projector", "seed": "Seed"}
LAST = {"mean": "Mean", "pooled": "All"}  # title of the last column, by the rule of the headline


def by_task_table(settings: ReportSettings, scores: Scores, benchmark: str) -> Table:
    """A block of rows for each measure; below the benchmark's own score, what needs no image at all."""
    chosen, name = settings.benchmarks[benchmark], words.benchmark(settings, benchmark)
    groups = [scores[arm, benchmark] for arm in settings.projectors]
    record = groups[0][0].record
    measures = list(dict.fromkeys(measure for group in groups for score in group for measure in score.record.measures))
    rows = list(_score_rows(settings, scores, benchmark, chosen.by_task.score))
    for measure in measures:
        rows += _measure_rows(settings, scores, benchmark, measure)
    explained = [words.MEASURES[measure] for measure in measures if measure in words.MEASURES]
    last = LAST.get(record.headline.rule) or f"Total (of {record.headline.maximum:,})"
    return Table(
        name=benchmark,
        caption=(
            f"{name} by {chosen.by_task.task}, config {settings.config} ({settings.report.scale}), with 95 % intervals."
        ),
        heads=HEADS,
        columns=(*(Column(task, words.task(task)) for task in record.tasks), Column(ALL, last)),
        rows=tuple(rows),
        notes=(
            *explained,
            *([UNDEFINED] if measures else []),
            *notes(settings, scores, [benchmark]),
            seed_note(settings, "First rows of a projector"),
        ),
        block=("measure",),
        aside=("seed",),
    )


def _score_rows(settings: ReportSettings, scores: Scores, benchmark: str, key: str) -> Iterator[Row]:
    samples, example = settings.report.bootstrap_samples, scores.example(benchmark)
    record = example.record

    def cells(group: Sequence[Score]) -> dict[str, Cell]:
        return {task: task_score(group, task, samples) for task in record.tasks} | {ALL: headline(group, samples)}

    points = record.points_per_task
    title = f"{key} (%)" if points is None else f"{key} (points, at most {points:g} a task)"
    yield from _rows(settings, scores, benchmark, key.lower(), title, cells)
    for baseline, found in baselines(example).items():
        texts = {"measure": title, "projector": words.in_words(baseline), "seed": ""}
        yield Row(f"{benchmark}.{key.lower()}.{baseline}", key.lower(), texts, found, needs_no_image=True)


def _measure_rows(settings: ReportSettings, scores: Scores, benchmark: str, measure: str) -> Iterator[Row]:
    samples = settings.report.bootstrap_samples

    def cells(group: Sequence[Score]) -> dict[str, Cell]:
        # the answers' own tasks: a loss is of tokens, and existence has none of its own
        tasks = list(group[0].record.measures.get(measure, {}))
        found = {task: other_measure(group, measure, [task], samples) for task in tasks}
        return found | {ALL: other_measure(group, measure, tasks, samples)}

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
            yield Row(own, measure, texts | {"seed": str(score.seed)}, cells([score]), one_seed=len(group) > 1)
