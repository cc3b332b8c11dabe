"""The paper's claims: what each predicts, what this configuration measured, and what may be said of it.

What the paper states is known here from its abstract alone: one number (+259.96) and the claims in words. Published,
measured and unknown numbers stand in rows of their own, never mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from pargo.estimates import MAX_SEEDS, MAX_TIMES, Difference
from pargo.report import words
from pargo.report.arm_tables import published_cell
from pargo.report.arms import Relation, relations, trained_alike
from pargo.report.cells import Cell, Column, Row, Table
from pargo.report.measure import difference
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.report.training_file import Training
from pargo.statistics import holm

PAPER = "the paper's abstract (AAAI 2025, pp. 7491-7499, doi 10.1609/AAAI.V39I7.32806)"
PUBLISHED_GAIN = 259.96  # ParGo minus Q-Former on MME [abstract]
PAPER_SCALE = "7B, the paper's data"
ALPHA = 0.05

Verdict = Literal["supported", "not supported", "undecided", "not tested"]


class Claim(NamedTuple):
    """A claim, and which comparisons with the headline arm test it.

    Attributes:
        text: in words.
        predicts: about these comparisons.
        relation: of the arms that are subtracted.
        asked: the benchmarks: those like MME, or that of details.
        in_abstract: it is the paper's; else a question of ours.
    """

    text: str
    predicts: str
    relation: Relation
    asked: Literal["mme", "details"]
    in_abstract: bool = True


CLAIMS = {
    "gain": Claim("ParGo is better than a Q-Former", "a higher total on {mme}", "qformer", "mme"),
    "others": Claim(
        "ParGo is better than other projectors", "a higher total on {mme} than that of each", "projector", "mme"
    ),
    "detail": Claim(
        "ParGo excels where details count",
        "more facts of an image said right than by a Q-Former, on a benchmark of details",
        "qformer",
        "details",
    ),
    "captions": Claim(
        "Detailed captions (ParGoCap-1M-PT) help", "a higher total on {mme} than with other captions", "captions", "mme"
    ),
    "parts": Claim(
        "Each part of ParGo helps", "a higher total on {mme} than without that part", "variant", "mme", False
    ),
}
RULE = (
    "A claim is supported where each comparison that tests it is decided in its favour, not supported where one is "
    "decided against it, undecided otherwise, and not tested where there is none"
)
OTHERS = "training"  # kind of the rows that belong to no claim
PAPERS = "MME (of 2800), 7B"
IN_WORDS = "said in words, numbers not at hand"
NOT_RUN = "not run in this configuration"
SCORES = "score files"

HEADS = {
    "claim": "Claim",
    "claim_verdict": "Verdict on the claim",
    "comparison": "Comparison",
    "benchmark": "Benchmark",
    "scale": "Scale",
    "source": "Source",
    "status": "Status",
    "tests": "Tests the claim",
    "verdict": "Verdict",
}


class Judged(NamedTuple):
    """A claim with what may be said of it here."""

    claim: Claim
    predicts: str
    verdict: Verdict


def claims_table(settings: ReportSettings, scores: Scores, training: Training) -> Table:
    """One row per number, with its status in words; a claim has a published or unknown row before the measured ones."""
    rows, over = [*_rows(settings, scores, training)], "images" if len(settings.seeds) == 1 else "images and seeds"
    if settings.projectors[settings.report.headline_arm].name != "pargo":
        rows = [row._replace(tests=False) for row in rows]  # the claims are about ParGo
    tested = _tested(rows)
    return Table(
        name="claims",
        caption=f"The paper's claims beside config {settings.config}. {beside_the_paper(settings)}",
        heads=HEADS,
        columns=(
            Column("difference", "Difference"),
            Column("p", "p"),
            Column("p_holm", "p (Holm)"),
            Column("seeds", "Seeds that decide", aside=True),
            Column("images", "Images that decide", aside=True),
        ),
        rows=tuple(_with_verdicts(settings, rows)),
        block=("claim", "claim_verdict"),
        aside=("scale", "source", "status", "tests"),
        notes=(
            f"Published: {PAPER}. That its MME number is the total of perception and cognition (2,800 points) is our "
            "reading; the paper's tables are not known here, and neither are its intervals.",
            f"Measured: paired by image, with a 95 % interval over {over}; p is two-sided, of no difference. "
            f"{_rule(settings, len(tested))}",
            "Unknown: the paper's number is not available here, or this configuration does not measure it.",
        ),
    )


def beside_the_paper(settings: ReportSettings) -> str:
    """How our numbers stand to the paper's, in a sentence."""
    if any(chosen.kind == "mme" for chosen in settings.benchmarks.values()):
        return (
            f"Published and measured numbers are of one benchmark, MME; models and data are this code's "
            f"({settings.report.scale})."
        )
    return (
        f"Published and measured numbers are of different benchmarks, models and data ({settings.report.scale}): "
        "neither sign nor size here confirms or refutes the paper."
    )


def judged(settings: ReportSettings, table: Table) -> dict[str, Judged]:
    """Each claim that the table has rows of, with its verdict."""
    mme = " and ".join(words.benchmark(settings, name) for name in _asked(settings, "mme"))
    verdicts = {row.kind: row.texts["claim_verdict"] for row in table.rows}
    return {
        key: Judged(claim, claim.predicts.format(mme=mme), verdicts[key])  # type: ignore[arg-type]
        for key, claim in CLAIMS.items()
        if key in verdicts
    }


class _Measured(NamedTuple):
    """A row without its verdict, and what that is taken from.

    Attributes:
        other: the arm that is subtracted.
        tests: the row tests its claim; other rows only belong to it.
    """

    row: Row
    difference: Difference | None = None
    other: str = ""
    tests: bool = False


def _rule(settings: ReportSettings, number: int) -> str:
    if len(settings.seeds) == 1:
        return f"Verdict: with one training seed nothing follows about methods, so all is undecided. {RULE}."
    return (
        f"Verdict: an arm is better where p < {ALPHA} after Holm's correction over all {number} comparisons here. "
        "Brackets are not corrected, so one may exclude zero and be undecided. Seeds and images that decide: so many "
        "seeds of each arm, on so many times the images, would decide it in half of all cases, if the difference and "
        f"its spread are as measured; blank where even {MAX_SEEDS} seeds and {MAX_TIMES} times the images would in "
        f"fewer. {RULE}."
    )


def _tested(rows: Sequence[_Measured]) -> list[Difference]:
    return [row.difference for row in rows if row.difference]


def _with_verdicts(settings: ReportSettings, rows: Sequence[_Measured]) -> Iterable[Row]:
    """The rows with what may be said of each, and of its claim, all of them being looked at."""
    tested, names = _tested(rows), words.projectors(settings)
    adjusted = iter(holm([found.p for found in tested]))
    corrected = [next(adjusted) if row.difference else None for row in rows]
    # what the next of them would have to be below
    level = ALPHA / max(1, sum(p is not None and p >= ALPHA for p in corrected))
    behind = tuple(dict.fromkeys(file for row in rows if row.difference for file in row.row.cells["difference"].files))
    claims = _claim_verdicts(rows, corrected)
    for (row, found, other, tests), p in zip(rows, corrected, strict=True):
        texts = row.texts | {"claim_verdict": claims.get(row.kind, ""), "tests": "yes" if tests else ""}
        if found is None or p is None:
            yield replace(row, texts=texts)
            continue
        if _decided(found, p):
            verdict = f"{names[settings.report.headline_arm if found.value > 0 else other]} is better"
        else:
            verdict = f"undecided{_why(found)}"
        files, how = row.cells["difference"].files, f"two-sided p value of no difference, {_seen(found)}"
        where = row.cells["difference"].where
        cells = row.cells | {
            "p": Cell(found.p, "p", "measured", files=files, where=where, formula=how),
            "p_holm": Cell(
                p, "p", "measured", files=behind, formula=f"Holm over the {len(tested)} p values of this table"
            ),
        }
        if not _decided(found, p) and (needed := found.needed(level)):
            how = f"as few as give p < {level:.2g} in half of all cases, and no more images where seeds alone can"
            base = Cell(0, "count", "measured", files=behind, formula=how)
            seeds, times = needed
            cells |= {"seeds": replace(base, value=seeds), "images": replace(base, value=times, unit="times")}
        yield replace(row, texts=texts | {"verdict": verdict}, cells=cells)


def _seen(found: Difference) -> str:
    return "from drawn images" if found.spread is None else "from drawn images and the spread over seeds"


def _decided(found: Difference, p: float) -> bool:
    """With one training seed of a side nothing is decided about methods."""
    return p < ALPHA and found.spread is not None


def _claim_verdicts(rows: Sequence[_Measured], corrected: Sequence[float | None]) -> dict[str, Verdict]:
    found: dict[str, Verdict] = {}
    for key in dict.fromkeys(measured.row.kind for measured in rows if measured.row.kind != OTHERS):
        tests = [
            (measured.difference, p)
            for measured, p in zip(rows, corrected, strict=True)
            if measured.row.kind == key and measured.tests
        ]
        decided = [
            difference.value > 0 for difference, p in tests if difference and p is not None and _decided(difference, p)
        ]
        if not all(decided):
            found[key] = "not supported"
        elif tests and len(decided) == len(tests):
            found[key] = "supported"
        else:
            found[key] = "undecided" if tests else "not tested"
    return found


def _why(found: Difference) -> str:
    """Behind "undecided": what neither seeds nor images of such numbers can mend."""
    if found.spread is None:
        return " (one training seed)"
    return "" if found.value else " (no difference was measured)"


def _rows(settings: ReportSettings, scores: Scores, training: Training) -> Iterable[_Measured]:
    gain = Cell(PUBLISHED_GAIN, "difference", "published", note="total of 2,800 points, our reading", digits=2)
    unknown = Cell(None, "difference", "unknown")
    arms, pair = relations(settings, training), "ParGo minus Q-Former"
    for key, claim in CLAIMS.items():
        others = [arm for arm, relation in arms.items() if relation == claim.relation]
        if key == "gain":
            yield _row("mme_gain", key, pair, f"{PAPERS}, published", PAPER_SCALE, gain, "the paper's abstract")
            if not any(chosen.kind == "mme" for chosen in settings.benchmarks.values()):
                yield _row("mme_gain_here", key, pair, f"{PAPERS}, not run here", "7B, this code", unknown, NOT_RUN)
        elif claim.in_abstract:
            yield _row(
                f"mme_{key}",
                key,
                "with minus without" if key == "captions" else "ParGo minus others",
                f"{PAPERS}, numbers not at hand",
                PAPER_SCALE,
                unknown,
                IN_WORDS,
            )
        if key == "detail":
            alike = {other: trained_alike(settings, training, other) for other in others}
            yield from _details(settings, scores, alike)
            continue
        for other in others:
            yield from _published(settings, scores, key, other, _asked(settings, "details") if key == "gain" else ())
            tests = trained_alike(settings, training, other, key == "captions")
            if key == "parts":
                tests = _lacks_a_part(settings, other)
            yield from _headlines(settings, scores, key, other, tests=tests)
    for arm, relation in arms.items():
        if relation == "training":  # no claim is about it
            yield from _published(settings, scores, OTHERS, arm)
            yield from _headlines(settings, scores, OTHERS, arm, tests=False)


def _lacks_a_part(settings: ReportSettings, arm: str) -> bool:
    """Whether a variant of ParGo has no partial tokens, no global ones or no cascade; others are only otherwise."""
    ours, other = settings.projectors[settings.report.headline_arm], settings.projectors[arm]
    without = {"num_partial_tokens": 0, "num_global_tokens": 0, "cascade": "full"}
    return any(getattr(other, key, None) == value != getattr(ours, key, None) for key, value in without.items())


def _asked(settings: ReportSettings, asked: str) -> list[str]:
    """The benchmarks that a claim is about."""
    if asked == "details":
        return [name for name, chosen in settings.benchmarks.items() if chosen.kind == "details"]
    # without one like MME the first stands for it
    return [name for name, chosen in settings.benchmarks.items() if chosen.leads] or [*settings.benchmarks][:1]


def _published(
    settings: ReportSettings, scores: Scores, claim: str, other: str, left_out: Sequence[str] = ()
) -> Iterable[_Measured]:
    for number in settings.report.published:
        if number.minus == other and number.benchmark not in left_out:
            cell = published_cell(scores, number.benchmark, number.value, number.source, difference=True)
            title = _title(settings, scores, number.benchmark)
            key = f"published_{headline_row(number.arm, other, number.benchmark)}"
            yield _row(key, claim, _pair(settings, other), title, "published", cell, number.source)


def _headlines(settings: ReportSettings, scores: Scores, claim: str, other: str, *, tests: bool) -> Iterable[_Measured]:
    """The headline of every benchmark: our arm minus another. That of details has a claim of its own."""
    left_out = _asked(settings, "details") if claim == "gain" else ()
    asked = _asked(settings, CLAIMS[claim].asked) if tests else ()
    for benchmark in settings.benchmarks:
        if benchmark not in left_out:
            row = _headline(settings, scores, claim, other, benchmark)
            yield row._replace(tests=benchmark in asked)


def _headline(settings: ReportSettings, scores: Scores, claim: str, other: str, benchmark: str) -> _Measured:
    ours, samples = settings.report.headline_arm, settings.report.bootstrap_samples
    cell, found = difference(scores[ours, benchmark], scores[other, benchmark], samples)
    key, title = headline_row(ours, other, benchmark), _title(settings, scores, benchmark)
    row = _row(key, claim, _pair(settings, other), title, settings.report.scale, cell, SCORES)
    return row._replace(difference=found, other=other)


def _title(settings: ReportSettings, scores: Scores, benchmark: str) -> str:
    name = words.benchmark(settings, benchmark) + words.asked_model(settings.benchmarks[benchmark])
    record = scores.example(benchmark).record
    return f"{name} (points of %)" if record.points_per_task is None else f"{name} (of {record.headline.maximum})"


def headline_row(ours: str, other: str, benchmark: str) -> str:
    """Key of the row that compares the headlines of two arms."""
    return f"{ours}_minus_{other}_{benchmark}"


def _details(settings: ReportSettings, scores: Scores, others: Mapping[str, bool]) -> Iterable[_Measured]:
    """Benchmarks of details, and each task of those whose tasks give points: our arm minus the Q-Formers.

    Args:
        others: the Q-Formers, and whether each was trained as our arm was.
    """
    ours, samples = settings.report.headline_arm, settings.report.bootstrap_samples
    for benchmark in _asked(settings, "details"):
        for other, alike in others.items():
            rest = [name for name in settings.benchmarks if name != benchmark]
            yield from _published(settings, scores, "detail", other, rest)
            yield _headline(settings, scores, "detail", other, benchmark)._replace(tests=alike)
    for benchmark in settings.benchmarks:
        first = scores[ours, benchmark]
        points = first[0].record.points_per_task
        if points is None:
            continue
        for other in others:
            for task in first[0].record.tasks:
                title = f"{words.benchmark(settings, benchmark)} {words.task(task)} (of {points:g})"
                cell, found = difference(first, scores[other, benchmark], samples, task)
                key = f"{headline_row(ours, other, benchmark)}_{task}"
                row = _row(key, "detail", _pair(settings, other), title, settings.report.scale, cell, SCORES)
                yield row._replace(difference=found, other=other)


def _pair(settings: ReportSettings, other: str) -> str:
    names = words.projectors(settings)
    return f"{names[settings.report.headline_arm]} minus {names[other]}"


def _row(key: str, claim: str, comparison: str, benchmark: str, scale: str, cell: Cell, source: str) -> _Measured:
    texts = {
        "claim": CLAIMS[claim].text if claim in CLAIMS else "Trained otherwise, so no claim is about it",
        "claim_verdict": "",
        "comparison": comparison,
        "benchmark": benchmark,
        "scale": scale,
        "source": source,
        "status": cell.status,
        "tests": "",
        "verdict": "",
    }
    return _Measured(Row(key, claim, texts, {"difference": cell}))
