"""SEED-Bench's result files: JSON Lines with `question_id` and `prediction`, and the options' losses where ranked."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pargo.benchmarks.formats.rows import Row, clean, json_lines, read_bytes, shorten, split_lines
from pargo.benchmarks.records import Answered, Prediction, Question
from pargo.benchmarks.seedbench.annotations import read_annotations
from pargo.benchmarks.seedbench.answers import parse, rank
from pargo.errors import PargoError

OFFICIAL = "official"
RANKINGS = ("ranking_sum", "ranking_mean")
READ = ("prediction", "text", "losses", "num_tokens")  # of a line, beside its id


def write(predictions: Iterable[Prediction], directory: Path) -> None:
    """Write `official/results_<parser>.jsonl`, a line a question, as the official server takes it.

    `results_letter.jsonl` of generated answers: `prediction` is the letter, or the answer where it names none. Of
    ranked options there is one file by each length rule, whose lines also hold `losses` (sums) and `num_tokens`.
    """
    folder = directory / OFFICIAL
    folder.mkdir()
    records = list(predictions)
    ranked = any(record.option_losses for record in records)
    for parser in RANKINGS if ranked else ("letter",):
        lines = (json.dumps(_line(record, parser), ensure_ascii=False) + "\n" for record in records)
        (folder / f"results_{parser}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")


def _line(record: Prediction, parser: str) -> dict[str, Any]:
    if parser == "letter":
        return {"question_id": record.id, "prediction": parse(record.answer, record) or record.answer}
    return {
        "question_id": record.id,
        "prediction": rank(record.option_losses, parser, f"question {record.id}"),
        "losses": {letter: loss for letter, (loss, _) in record.option_losses.items()},
        "num_tokens": {letter: tokens for letter, (_, tokens) in record.option_losses.items()},
    }


def read(inputs: Sequence[Path], *, parser: str, partial: bool, notes: list[str] | None = None) -> list[Answered]:
    """The answers of a results file to the image questions of the official JSON, in its order.

    A line holds `question_id` (`q_id` in older files) and `prediction` (`text` in LLaVA's answers). It may end in a
    comma, and a question may be answered again in the same way, as in published results. Parsers that rank read
    `losses` instead, in the order of the options or by letter. With `num_tokens`, given alike, losses are sums;
    without, they are what the parser says, sums or means, and only the user can know that. Lines of video questions are
    left out.

    Args:
        inputs: `SEED-Bench.json` and the results.
        parser: name of the parser; ranking gives `Prediction` records, since they hold losses.
        partial: score the questions that have an answer, though others have none.
        notes: gets sentences on what was taken.

    Raises:
        PargoError: a line that is no result or has a loss that is not finite, a question that the JSON does not
            have, that is answered in two ways, or not at all; names file and line.
    """
    notes = [] if notes is None else notes
    if len(inputs) != 2:
        raise PargoError(f"seedbench takes two inputs, the official JSON and the results, got {len(inputs)}")
    annotations, results = inputs
    questions, other_ids = read_annotations(annotations)
    known = {question.id: question for question in questions}
    rows: dict[str, Row] = {}
    again = 0
    for row in json_lines(_without_commas(read_bytes(results), str(results), notes), str(results)):
        identifier = row.identifier(
            "q_id" if "q_id" in row.record and "question_id" not in row.record else "question_id"
        )
        if identifier in rows:
            if not _same(row, rows[identifier]):
                raise PargoError(
                    f"{row.where}: question {shorten(identifier)} again, it is answered in {rows[identifier].where}, "
                    "and in another way: keep one of the lines"
                )
            again += 1
        if identifier not in known and identifier not in other_ids:
            raise PargoError(f"{row.where}: question {shorten(identifier)} is not in {annotations}")
        rows[identifier] = row
    if again:
        notes.append(f"{results}: {again} line(s) answer a question again in the same way; each question counts once")
    missing = [identifier for identifier in known if identifier not in rows]
    if missing and (len(missing) == len(known) or not partial):
        raise PargoError(
            f"{results}: {len(missing)} of {len(known)} image questions have no answer, e.g. {shorten(missing[0])}"
        )
    answered = [(question, rows[question.id]) for question in questions if question.id in rows]
    if all(
        _is_text(row) and str(row.record["text"]).startswith(f"{question.question}\n") for question, row in answered
    ):
        raise PargoError(f"{results}: every `text` in it is the question, and there is no `prediction`: no results")
    if parser == "letter":
        if texts := sum(_is_text(row) for _, row in answered):
            notes.append(
                f"{results}: of {texts} line(s) without `prediction`, `text` was taken, as LLaVA's answers have it"
            )
        return [Answered(**question.model_dump(), answer=_answer(row)) for question, row in answered]
    counted = {"num_tokens" in row.record for _, row in answered}
    if len(counted) == 2:
        raise PargoError(f"{results}: some lines have `num_tokens` and some do not, so their losses are not alike")
    return [_ranked(question, row) for question, row in answered]


def _without_commas(data: bytes, where: str, notes: list[str]) -> bytes:
    """Lines without the comma after each object that makes a file part of a JSON list."""
    lines = split_lines(data, where)
    shorter = [line.rstrip().removesuffix(",") if line.rstrip().endswith("},") else line for line in lines]
    if number := sum(one != other for one, other in zip(lines, shorter, strict=True)):
        notes.append(f"{where}: the comma at the end of {number} line(s) was left out")
    return "".join(f"{line}\n" for line in shorter).encode() if number else data


def _same(row: Row, other: Row) -> bool:
    """Whether two lines give the same answer."""
    one, two = ({key: item.record.get(key) for key in READ} for item in (row, other))
    return one == two


def _is_text(row: Row) -> bool:
    return "text" in row.record and "prediction" not in row.record


def _answer(row: Row) -> str:
    """The prediction as text; what is no text is written out, and then matches no letter."""
    value = row.value("text" if _is_text(row) else "prediction")
    return clean(value if isinstance(value, str) else "" if value is None else json.dumps(value))


def _ranked(question: Question, row: Row) -> Prediction:
    losses = _by_letter(question, row, "losses")
    counts = _by_letter(question, row, "num_tokens") if "num_tokens" in row.record else dict.fromkeys(losses, 1)
    for letter, loss in losses.items():
        if isinstance(loss, bool) or not isinstance(loss, int | float) or not _is_finite(loss):
            raise PargoError(f"{row.where}: loss of option {letter} is {shorten(loss)}, expected a finite number")
    for letter, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count < 2**31:
            raise PargoError(
                f"{row.where}: option {letter} has {shorten(count)} tokens, expected a count of at least 1"
            )
    answer = _answer(row) if "prediction" in row.record else ""
    return Prediction(
        **question.model_dump(),
        answer=answer,
        prompt="",
        parsed="",
        image_sha256="",
        option_losses={letter: (float(losses[letter]), counts[letter]) for letter in losses},
    )


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond any float
        return False


def _by_letter(question: Question, row: Row, key: str) -> dict[str, Any]:
    """What a line gives of each option under a key, by letter."""
    value, letters = row.value(key), list(question.options)
    if isinstance(value, list) and len(value) == len(letters):
        return dict(zip(letters, value, strict=True))
    if isinstance(value, dict) and value.keys() == set(letters):
        return {letter: value[letter] for letter in letters}
    raise PargoError(f"{row.where}: `{key}` is {shorten(value)}, expected one number for each of {', '.join(letters)}")
