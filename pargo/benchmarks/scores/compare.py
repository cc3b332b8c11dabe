"""`pargo compare`: two runs side by side, by benchmark and by task, on the same images. Needs their score files alone.

A run is one score file, a folder of one seed's score files, or a folder of `seed-<n>` folders (an arm).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pargo.benchmarks.scores.make import UNKNOWN
from pargo.benchmarks.scores.score_file import ScoreFile, find_scores, read_score
from pargo.benchmarks.scores.score_record import ScoreRecord
from pargo.config.base import Settings
from pargo.errors import PargoError
from pargo.estimates import difference
from pargo.statistics import holm, mcnemar_p, mean_total

FEW_IMAGES = 30  # of fewer a bootstrap interval is too narrow: where all answers are right it has no width at all
ALPHA = 0.05
FEW_DRAWS = 1000  # of fewer the ends of an interval are not known well

ByImage = Mapping[str, Mapping[str, Sequence[float]]]  # task -> image -> numbers


class McNemar(Settings):
    """Exact McNemar test of right and wrong answers, question by question (whatever the benchmark's own score is)."""

    only_a: int  # questions that A alone answers right
    only_b: int
    p: float
    p_holm: float | None = None  # over all McNemar tests of the table


class Row(Settings):
    """One comparison: the headline of a benchmark (`task` None), or one of its tasks.

    Where answers wait for a judge, in A or in B, all from `value_a` to `mcnemar` is None.
    """

    benchmark: str
    task: str | None
    score: str  # name of the headline, e.g. `accuracy`
    maximum: float  # of the headline
    num_images: int
    num_questions: int
    value_a: float | None = None  # mean over seeds
    value_b: float | None = None
    difference: float | None = None  # A - B
    interval: tuple[float, float] | None = None  # 95 %, over images and seeds: `pargo.estimates.difference`
    p: float | None = None  # two-sided, as the interval
    p_holm: float | None = None  # over all comparisons of the table
    mcnemar: McNemar | None = None

    @property
    def label(self) -> str:
        """For readers, e.g. `mme, total score` or `mme: count`."""
        return f"{self.benchmark}, {self.score}" if self.task is None else f"{self.benchmark}: {self.task}"


class Comparison(Settings):
    """Two runs, the table of all their comparisons, and what has to be said about it."""

    run_a: str
    run_b: str
    seeds_a: int
    seeds_b: int
    samples: int
    rows: tuple[Row, ...]
    only_a: tuple[str, ...]  # benchmarks that B lacks
    only_b: tuple[str, ...]
    notes: tuple[str, ...]


def compare(run_a: Path, run_b: Path, samples: int) -> Comparison:
    """Compare two runs on all benchmarks that both have.

    Benchmarks are matched by file name; two single files are matched whatever their names. Several seeds of a run are
    averaged, over the same images. A benchmark with one task has no row for it, as its headline says the same.

    Raises:
        PargoError: no such run, no benchmark in both, a file that is no score file, or two files by other parsers, of
            other benchmarks or editions, or about other images or questions; names both files.
    """
    if samples < 1:
        raise PargoError(f"{samples} bootstrap draws; at least 1 is needed")
    found_a, found_b = find_scores(run_a), find_scores(run_b)
    if run_a.is_file() and run_b.is_file() and run_a.stem != run_b.stem:
        name = read_score(run_a).record.benchmark
        found_a, found_b = [{name: run_a}], [{name: run_b}]
    names_a, names_b = found_a[0].keys(), found_b[0].keys()
    if not names_a & names_b:
        raise PargoError(
            f"nothing to compare: {run_a} holds {', '.join(sorted(names_a))}; "
            f"{run_b} holds {', '.join(sorted(names_b))}"
        )
    rows: list[Row] = []
    first_notes: list[str] = []
    for name in sorted(names_a & names_b):
        side_a, side_b = ([read_score(files[name]) for files in found] for found in (found_a, found_b))
        first_notes += _check_edition(name, [*side_a, *side_b])
        for file in (*side_a, *side_b):
            _check_same(side_a[0], file)
        first_notes += [f"Not graded: {file.path}" for file in (*side_a, *side_b) if not file.record.is_graded]
        rows += _rows(name, [file.record for file in side_a], [file.record for file in side_b], samples)
    rows = _adjusted(rows)
    return Comparison(
        run_a=run_a.as_posix(),
        run_b=run_b.as_posix(),
        seeds_a=len(found_a),
        seeds_b=len(found_b),
        samples=samples,
        rows=tuple(rows),
        only_a=tuple(sorted(names_a - names_b)),
        only_b=tuple(sorted(names_b - names_a)),
        notes=(*first_notes, *_notes(rows, len(found_a), len(found_b), samples)),
    )


def _check_same(first: ScoreFile, other: ScoreFile) -> None:
    """Raise PargoError unless both records are of the same benchmark, parser, images and questions."""
    files, a, b = f"{first.path} and {other.path}", first.record, other.record
    for what, one, two in (
        ("benchmark", a.benchmark, b.benchmark),
        ("parser", a.parser, b.parser),
        (f"version of the parser {a.parser!r}", a.parser_version, b.parser_version),
        ("rule of the headline", a.headline.rule, b.headline.rule),
    ):
        if one != two:
            raise PargoError(f"{files} differ in their {what}: {one} and {two}")
    if not (a.is_graded and b.is_graded):
        return
    if a.judges != b.judges:
        raise PargoError(f"{files} were graded by others: {', '.join(a.judges)} and {', '.join(b.judges)}")
    _check_same_images(files, a.values, b.values)
    _check_same_images(files, a.correct, b.correct)
    for task in (None, *a.values):
        if a.num_questions(task) != b.num_questions(task):
            raise PargoError(
                f"{files} have different numbers of questions{f' in task {task!r}' if task else ''}: "
                f"{a.num_questions(task)} and {b.num_questions(task)}"
            )
    if lost := sorted(task for task in a.asked.keys() | b.asked.keys() if a.asked.get(task) != b.asked.get(task)):
        raise PargoError(
            f"{files} have other questions in task {lost[0]!r}, or the questions of an image in another order: answers "
            "are compared by their place"
        )


def _check_edition(name: str, files: Sequence[ScoreFile]) -> Iterator[str]:
    """A note for each part of the edition that is known of some files alone.

    Raises:
        PargoError: two files are of two editions.
    """
    for part in dict.fromkeys(part for file in files for part in file.record.edition):
        found = {file.record.edition.get(part, UNKNOWN): file.path for file in files}
        known = [item for item in found.items() if item[0] != UNKNOWN]
        if len(known) > 1:
            (one, first), (two, other) = known[:2]
            raise PargoError(f"{first} and {other} differ in their {part}: {one} and {two}, which cannot be compared")
        if known and UNKNOWN in found:
            yield f"{name}: {part} {known[0][0]} in one run, unknown in {found[UNKNOWN]}; is it the same?"


def _check_same_images(files: str, first: ByImage, other: ByImage) -> None:
    if lost := sorted(first.keys() ^ other.keys()):
        raise PargoError(f"{files} have different tasks: {', '.join(lost)} not in both")
    for task in first:
        one, two = first[task], other[task]
        if lost := sorted(one.keys() ^ two.keys()):
            raise PargoError(
                f"{files} have different images in task {task!r}: {len(lost)} are not in both, e.g. {lost[0]!r}"
            )
        for image in one:
            if len(one[image]) != len(two[image]):
                raise PargoError(
                    f"{files} have different numbers of questions about image {image!r} in task {task!r}: "
                    f"{len(one[image])} and {len(two[image])}"
                )


def _rows(name: str, side_a: Sequence[ScoreRecord], side_b: Sequence[ScoreRecord], samples: int) -> Iterator[Row]:
    """The headline and the tasks of one benchmark; Holm's correction comes later (`_adjusted`)."""
    first = side_a[0]
    graded = all(record.is_graded for record in (*side_a, *side_b))
    tasks = list(first.values) if graded and len(first.values) > 1 else []
    for task in (None, *tasks):
        row = Row(
            benchmark=name,
            task=task,
            score=first.headline.name,
            maximum=first.headline.maximum,
            num_images=first.num_images(task),
            num_questions=first.num_questions(task),
        )
        if graded:
            a, b = ([record.groups(task) for record in side] for side in (side_a, side_b))
            result = difference(a, b, samples)
            found: dict[str, Any] = {
                "value_a": mean_total(a),
                "value_b": mean_total(b),
                "difference": result.value,
                "interval": result.interval,
                "p": result.p,
            }
            if len(side_a) == len(side_b) == 1:
                found["mcnemar"] = _mcnemar(side_a[0], side_b[0], task)
            row = row.model_copy(update=found)
        yield row


def _mcnemar(side_a: ScoreRecord, side_b: ScoreRecord, task: str | None) -> McNemar | None:
    """None where answers have partial grades, are not marked one by one, or ask one question in several ways."""
    marks_a, marks_b = side_a.marks(task), side_b.marks(task)
    # POPE's splits share questions, which would count three times
    if task is None and side_a.headline.rule == "mean" and len(side_a.tasks) > 1:
        return None
    # MMBench's rotations: a question counts once, all its answers together
    asked_once = side_a.headline.rule != "pooled" or sum(
        pair[1] for images in side_a.groups(task).values() for pair in images.values()
    ) == len(marks_a)
    if not marks_a or not asked_once or not {*marks_a, *marks_b} <= {0, 1}:
        return None
    pairs = Counter(zip(marks_a, marks_b, strict=True))
    only_a, only_b = pairs[1, 0], pairs[0, 1]
    return McNemar(only_a=only_a, only_b=only_b, p=mcnemar_p(only_a, only_b))


def _adjusted(rows: Sequence[Row]) -> list[Row]:
    """The rows with Holm's correction over all of them; McNemar tests are a table of their own."""
    rows = list(rows)
    tested = [index for index, row in enumerate(rows) if row.p is not None]
    for index, p in zip(tested, holm([rows[index].p or 0.0 for index in tested]), strict=True):
        rows[index] = rows[index].model_copy(update={"p_holm": p})
    tests = [(index, row.mcnemar) for index, row in enumerate(rows) if row.mcnemar]
    for (index, test), p in zip(tests, holm([test.p for _, test in tests]), strict=True):
        rows[index] = rows[index].model_copy(update={"mcnemar": test.model_copy(update={"p_holm": p})})
    return rows


def _notes(rows: Sequence[Row], seeds_a: int, seeds_b: int, samples: int) -> Iterator[str]:
    """What a reader of the table must know."""
    tested = [row for row in rows if row.p is not None]
    if tested and min(seeds_a, seeds_b) == 1:
        yield (
            "Intervals and p values are about the images alone. With one training seed of a side they tell these "
            "trained models apart, and not the methods that trained them."
        )
    if max(seeds_a, seeds_b) > 1:
        yield (
            f"Values are means over seeds ({seeds_a} of A, {seeds_b} of B). No McNemar tests: they compare one answer "
            "with one answer."
        )
    elif lost := [row.label for row in tested if row.mcnemar is None]:
        yield (
            f"No McNemar test of {', '.join(lost)}: answers are not marked right (1) or wrong (0) one by one, or tasks "
            "share questions."
        )
    if few := [row.label for row in tested if row.num_images < FEW_IMAGES]:
        yield f"Fewer than {FEW_IMAGES} images, so intervals are too narrow and p values too small: {', '.join(few)}."
    by_draws = min(seeds_a, seeds_b) == 1
    if tested and not by_draws and samples < FEW_DRAWS:
        yield f"{samples:,} draws are too few for intervals and p values; draw {FEW_DRAWS:,} or more samples."
    if tested and by_draws and (smallest := 2 * len(tested) / (samples + 1)) > ALPHA:
        yield (
            f"With {samples:,} draws and {len(tested)} comparisons no p after Holm is below {min(1, smallest):.2g}; "
            "draw more samples."
        )
