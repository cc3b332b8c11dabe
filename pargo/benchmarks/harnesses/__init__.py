"""Figures that other harnesses would print for the same answers: `pargo score ... --as lmms-eval`.

A module a harness; a benchmark that a harness has not is in no table here, and `check` says so. What they do is written
anew, and compared with the real packages by `make bench-harnesses`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pargo.benchmarks.harnesses import lmms_eval, vlmevalkit
from pargo.benchmarks.harnesses.harness import Benchmark
from pargo.benchmarks.parts import load_answers, load_results
from pargo.benchmarks.records import PREDICTIONS, Answered, read_predictions
from pargo.benchmarks.scores.score_parts import HarnessFigure, HarnessRecord, Reading, Readings
from pargo.benchmarks.scores.score_record import ScoreRecord
from pargo.errors import PargoError

HARNESSES: dict[str, tuple[str, dict[str, Benchmark]]] = {
    "lmms-eval": (lmms_eval.TOOL, lmms_eval.BENCHMARKS),
    "vlmevalkit": (vlmevalkit.PACKAGE, vlmevalkit.BENCHMARKS[vlmevalkit.PACKAGE]),
    "vlmevalkit-2026-08": (vlmevalkit.SOURCES, vlmevalkit.BENCHMARKS[vlmevalkit.SOURCES]),
}
EXAMPLES = 5


def check(harness: str, kind: str, parser: str | None = None) -> Benchmark:
    """The benchmark in the harness.

    Raises:
        PargoError: unknown harness, a benchmark that it does not have, or a parser whose answers it cannot read.
    """
    if harness not in HARNESSES:
        raise PargoError(f"--as {harness}: unknown harness; choices: {', '.join(HARNESSES)}")
    tool, benchmarks = HARNESSES[harness]
    if kind not in benchmarks:
        raise PargoError(f"--as {harness}: {tool} has no {kind}; choices: {', '.join(benchmarks)}")
    if parser and parser.startswith("ranking"):
        raise PargoError(f"--as {harness} reads generated answers, but parser {parser!r} ranks options by loss")
    if parser == "proxy":
        raise PargoError(f"--as {harness} takes the grades of a judge, but parser {parser!r} grades by words")
    return benchmarks[kind]


def harness_record(
    harness: str, inputs: Sequence[Path], record: ScoreRecord, *, partial: bool = False
) -> HarnessRecord:
    """A harness's figures of the answers that a score record is of, as `compare` gives them.

    Args:
        harness: its name.
        inputs: as `pargo.benchmarks.scores.score.score_files` took them for the record.
        record: what it gave.
        partial: as it took it.

    Raises:
        PargoError: as `check` and `compare`.
    """
    kind = record.benchmark
    check(harness, kind, record.parser)
    answers: Sequence[Answered]
    if len(inputs) == 1 and (inputs[0] / PREDICTIONS).is_file():
        answers = read_predictions(inputs[0] / PREDICTIONS)
    else:
        answers = load_results(kind).read(inputs, parser=record.parser, partial=partial)
    return compare(harness, answers, record)


def compare(harness: str, answers: Sequence[Answered], record: ScoreRecord) -> HarnessRecord:
    """Theirs beside ours.

    Raises:
        PargoError: answers that no judge graded, or for which the tool itself fails.
    """
    kind, parser = record.benchmark, record.parser
    benchmark = check(harness, kind, parser)
    if not record.is_graded:
        raise PargoError(
            f"--as {harness}: {len(answers)} answers without grades, and its figures are means of a judge's grades; "
            "let `pargo judge` grade them and name its file in place of the answers"
        )
    theirs, ours = benchmark.figures(answers), benchmark.ours(record)
    return HarnessRecord(
        harness=harness,
        tool=HARNESSES[harness][0],
        figures={name: HarnessFigure(theirs=value, ours=ours.get(name)) for name, value in theirs.items()},
        read_otherwise=_read_otherwise(benchmark, answers, kind, parser) if benchmark.read else None,
        why=benchmark.why,
    )


def _read_otherwise(benchmark: Benchmark, answers: Sequence[Answered], kind: str, parser: str) -> Readings:
    assert benchmark.read
    parse = load_answers(kind).parse
    found = []
    for answer in answers:
        theirs, ours, label = benchmark.read(answer), parse(answer.answer, answer, parser), answer.label
        if kind == "mme":
            label = label.lower()
        if (theirs == label) != (ours == label):
            found.append(Reading(id=answer.id, label=label, answer=answer.answer, theirs=theirs, ours=ours))
    seen: dict[str, Reading] = {}
    for item in found:  # one of each kind
        seen.setdefault(item.answer, item)
    return Readings(number=len(found), of=len(answers), examples=tuple(seen.values())[:EXAMPLES])
