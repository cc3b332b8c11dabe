"""The paper's claims beside what this configuration measured: published, measured and unknown, never mixed.

What the paper states is known here from its abstract alone: one number (+259.96) and the claims in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from pargo.estimates import MAX_SEEDS, MAX_TIMES, Difference
from pargo.report import words
from pargo.report.cells import Cell, Column, Row, Table
from pargo.report.measure import difference
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.statistics import holm

PAPER = "the paper's abstract (AAAI 2025, pp. 7491-7499, doi 10.1609/AAAI.V39I7.32806)"
PUBLISHED_GAIN = 259.96  # ParGo minus Q-Former on MME [abstract]
PAPER_SCALE = "7B, the paper's data"

CLAIMS = {
    "gain": "ParGo is better than a Q-Former",
    "others": "ParGo is better than other projectors",
    "detail": "The gain is largest where details count",
    "captions": "Detailed captions (ParGoCap-1M-PT) help",
}
IN_WORDS = "said in words, numbers not at hand"
NOT_RUN = "not run in this configuration"
SCORES = "score files"

HEADS = {
    "claim": "Claim",
    "comparison": "Comparison",
    "benchmark": "Benchmark",
    "scale": "Scale",
    "source": "Source",
    "status": "Status",
    "verdict": "Verdict",
}
ALPHA = 0.05


def claims_table(settings: ReportSettings, scores: Scores) -> Table:
    """One row per number, with its status in words; a claim has a published or unknown row before the measured ones."""
    rows, over = [*_rows(settings, scores)], "images" if len(settings.seeds) == 1 else "images and seeds"
    return Table(
        name="claims",
        caption=(
            f"The paper's claims beside config {settings.config}. Published and measured numbers are of different "
            f"benchmarks, models and data ({settings.report.scale}): neither sign nor size here confirms or refutes "
            "the paper."
        ),
        heads=HEADS,
        columns=(Column("difference", "Difference"),),
        rows=tuple(_with_verdicts(settings, rows)),
        block="claim",
        notes=(
            f"Published: {PAPER}. That its MME number is the total of perception and cognition (2,800 points) is our "
            "reading; the paper's tables are not known here, and neither are its intervals.",
            f"Measured: paired by image, with a 95 % interval over {over}. {_rule(settings, rows)}",
            "Unknown: the paper's number is not available here, or this configuration does not measure it.",
        ),
    )


class _Measured(NamedTuple):
    """A row without its verdict, and what that is taken from; `other` is the arm that is subtracted."""

    row: Row
    difference: Difference | None = None
    other: str = ""


def _rule(settings: ReportSettings, rows: Sequence[_Measured]) -> str:
    if len(settings.seeds) == 1:
        return "Verdict: with one training seed nothing follows about methods, so all is undecided."
    return (
        f"Verdict: an arm is better where p < {ALPHA} after Holm's correction over all {len(_tested(rows))} "
        "comparisons here. Brackets are not corrected, so one may exclude zero and be undecided. Of an undecided one "
        "it says how many seeds of each arm, and where seeds alone cannot do it how many times as many images, would "
        "decide it in half of all cases, if the difference and its spread are as measured."
    )


def _tested(rows: Sequence[_Measured]) -> list[Difference]:
    return [row.difference for row in rows if row.difference]


def _with_verdicts(settings: ReportSettings, rows: Sequence[_Measured]) -> Iterable[Row]:
    """The rows with what may be said of each, all of them being looked at."""
    tested, names = _tested(rows), words.projectors(settings)
    adjusted = holm([found.p for found in tested])
    # what the next of them would have to be below
    level = ALPHA / max(1, sum(p >= ALPHA for p in adjusted))
    left = iter(adjusted)
    for row, found, other in rows:
        verdict = ""
        if found:
            if next(left) < ALPHA and found.spread:
                verdict = f"{names[settings.report.headline_arm if found.value > 0 else other]} is better"
            else:
                verdict = f"undecided ({_what_settles(found, level)})"
        yield replace(row, texts=row.texts | {"verdict": verdict})


def _what_settles(found: Difference, level: float) -> str:
    if found.spread is None:
        return "one training seed"
    if not found.value:
        return "no difference was measured"
    if needed := found.needed(level):
        seeds, times = needed
        images = f" and {times} times the images" if times > 1 else ""
        return f"{seeds} seeds of each{images} would decide it in half of all cases"
    return f"{MAX_SEEDS} seeds of each and {MAX_TIMES} times the images would decide it in fewer than half of all cases"


def _rows(settings: ReportSettings, scores: Scores) -> Iterable[_Measured]:
    ours = settings.report.headline_arm
    gain = Cell(PUBLISHED_GAIN, "difference", "published", note="total of 2,800 points, our reading", digits=2)
    unknown = Cell(None, "difference", "unknown")

    pair = "ParGo minus Q-Former"
    yield _row("mme_gain", "gain", pair, "MME (of 2800)", PAPER_SCALE, gain, "the paper's abstract")
    yield _row("mme_gain_here", "gain", pair, "MME (of 2800)", "7B, this code", unknown, NOT_RUN)
    claims = {arm: "gain" if _is_qformer(settings, arm) else "others" for arm in settings.projectors if arm != ours}
    for arm, claim in claims.items():
        if claim == "gain":
            yield from _headlines(settings, scores, claim, arm)

    yield _row("mme_others", "others", "ParGo minus others", "MME (of 2800)", PAPER_SCALE, unknown, IN_WORDS)
    for arm, claim in claims.items():
        if claim == "others":
            yield from _headlines(settings, scores, claim, arm)

    yield _row("mme_detail", "detail", f"{pair}, by task", "MME tasks (of 200)", PAPER_SCALE, unknown, IN_WORDS)
    for benchmark in settings.benchmarks:
        yield from _tasks(settings, scores, benchmark)

    yield _row("captions", "captions", "with minus without", "MME (of 2800)", PAPER_SCALE, unknown, IN_WORDS)


def _is_qformer(settings: ReportSettings, arm: str) -> bool:
    """The claim about the Q-Former is about this projector, whatever arm the report takes as its reference."""
    return settings.projectors[arm].name == "qformer"


def _headlines(settings: ReportSettings, scores: Scores, claim: str, other: str) -> Iterable[_Measured]:
    """The headline of every benchmark: our arm minus another."""
    ours, samples = settings.report.headline_arm, settings.report.bootstrap_samples
    for benchmark in settings.benchmarks:
        first, second = scores[ours, benchmark], scores[other, benchmark]
        name = words.benchmark(settings, benchmark) + words.asked_model(settings.benchmarks[benchmark])
        record = first[0].record
        title = f"{name} (points of %)" if record.points_per_task is None else f"{name} (of {record.headline.maximum})"
        cell, found = difference(first, second, samples)
        key = headline_row(ours, other, benchmark)
        row = _row(key, claim, _pair(settings, other), title, settings.report.scale, cell, SCORES)
        yield row._replace(difference=found, other=other)


def headline_row(ours: str, other: str, benchmark: str) -> str:
    """Key of the row that compares the headlines of two arms."""
    return f"{ours}_minus_{other}_{benchmark}"


def _tasks(settings: ReportSettings, scores: Scores, benchmark: str) -> Iterable[_Measured]:
    """Every task of a benchmark whose tasks give points: our arm minus the reference."""
    ours, reference = settings.report.headline_arm, settings.report.reference_arm
    first, second = scores[ours, benchmark], scores[reference, benchmark]
    points = first[0].record.points_per_task
    if points is None:
        return
    for task in first[0].record.tasks:
        title = f"{words.benchmark(settings, benchmark)} {words.task(task)} (of {points:g})"
        cell, found = difference(first, second, settings.report.bootstrap_samples, task)
        key = f"{headline_row(ours, reference, benchmark)}_{task}"
        row = _row(key, "detail", _pair(settings, reference), title, settings.report.scale, cell, SCORES)
        yield row._replace(difference=found, other=reference)


def _pair(settings: ReportSettings, other: str) -> str:
    names = words.projectors(settings)
    return f"{names[settings.report.headline_arm]} minus {names[other]}"


def _row(key: str, claim: str, comparison: str, benchmark: str, scale: str, cell: Cell, source: str) -> _Measured:
    texts = {
        "claim": CLAIMS[claim],
        "comparison": comparison,
        "benchmark": benchmark,
        "scale": scale,
        "source": source,
        "status": cell.status,
        "verdict": "",
    }
    return _Measured(Row(key, claim, texts, {"difference": cell}))
