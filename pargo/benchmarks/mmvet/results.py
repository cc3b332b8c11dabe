"""MM-Vet's official files: results {id: text}, which a judge grades, and grades {id: {model, content, score}}."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pargo.benchmarks.formats.rows import read_text
from pargo.benchmarks.mmvet.entries import Entry, parse_entries
from pargo.benchmarks.mmvet.meta import META, read_meta
from pargo.benchmarks.records import Answered, Prediction, Question
from pargo.errors import PargoError

OFFICIAL = "official"
RESULTS = "results.json"


def write(predictions: Iterable[Prediction], directory: Path) -> None:
    """Write `official/results.json`, which the official grader takes, and `official/mm-vet.json`, its questions.

    The second has the official format, so that the answers can be graded and scored where the data set is not at hand.
    """
    results, meta = {}, {}
    for prediction in predictions:
        results[prediction.id] = prediction.answer
        meta[prediction.id] = {
            "imagename": prediction.image,
            "question": prediction.question,
            "answer": prediction.label,
            "capability": prediction.details["capability"].split(","),
        }
    folder = directory / OFFICIAL
    folder.mkdir()
    for name, content in ((RESULTS, results), (META, meta)):
        text = json.dumps(content, indent=4, ensure_ascii=False) + "\n"
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def read(inputs: Sequence[Path], *, parser: str, partial: bool, notes: list[str] | None = None) -> list[Answered]:
    """The answers or the grades of a file, in its order.

    `inputs` are mm-vet.json and one of: grades of the official tool {id: {"score": [number, ...], ...}}, a run each;
    grades {id: number}; results {id: text}. Of grades, `details` has `grade`, the mean over runs, and `grades`, the
    runs, comma separated, where there are several. Results have an answer and no grade.

    Raises:
        PargoError: another number of files, broken JSON, an id twice or unknown, no grade for a question (unless
            `partial`), a grade that is not a number 0 to 1, another number of runs than before, no entry, or grades
            where the proxy needs answers. Names file and line.
    """
    if len(inputs) != 2:
        raise PargoError(f"mmvet takes two files, mm-vet.json and grades (or results), got {len(inputs)}")
    path = inputs[1]
    questions = read_meta(inputs[0])
    entries = parse_entries(read_text(path), str(path))
    _check_ids(entries, questions, str(path), str(inputs[0]), partial=partial)
    if isinstance(entries[0].value, str):
        return [_answer(entry, questions[entry.key]) for entry in entries]
    if parser == "proxy":
        raise PargoError(f"{path} holds grades, but the proxy reads answers: name the results file {{id: text}}")
    return _graded(entries, questions)


def add_grades(answers: Sequence[Answered], path: Path) -> list[Answered]:
    """The answers with the grades of a file in their `details`, as `read` has them.

    Raises:
        PargoError: an answer without grade, a grade without answer, a grade of another answer or that does not say of
            which, or what `read` refuses; names file and line.
    """
    entries = parse_entries(read_text(path), str(path))
    questions: dict[str, Question] = {answer.id: answer for answer in answers}
    _check_ids(entries, questions, str(path), "the answers", partial=False)
    _check_graded(entries, {answer.id: answer.answer for answer in answers})
    graded = {answer.id: answer.details for answer in _graded(entries, questions)}
    return [answer.model_copy(update={"details": graded[answer.id]}) for answer in answers]


def _check_ids(
    entries: Sequence[Entry], questions: dict[str, Question], path: str, where: str, *, partial: bool
) -> None:
    if not entries:
        raise PargoError(f"{path} holds no grades")
    for entry in entries:
        if entry.key not in questions:
            raise PargoError(f"{entry.where}: question {entry.key!r} is not in {where}")
    if not partial and (missing := [key for key in questions if key not in {entry.key for entry in entries}]):
        raise PargoError(
            f"{path}: nothing for question {missing[0]!r} of {where} ({len(missing)} of {len(questions)} missing)"
        )


def _check_graded(entries: Sequence[Entry], answers: dict[str, str]) -> None:
    """Raise PargoError unless each grade is that of the answer with its id."""
    for entry in entries:
        graded = entry.value.get("answer") if isinstance(entry.value, dict) else None
        if not isinstance(graded, str):
            raise PargoError(
                f"{entry.where}: {entry.key}: no `answer`, so which answer was graded is not known; "
                "`pargo grade` writes it, and asks for no grade twice"
            )
        if graded != answers[entry.key]:
            raise PargoError(
                f"{entry.where}: {entry.key}: graded was {graded!r:.60}, but the answer to score is "
                f"{answers[entry.key]!r:.60}: grade these answers"
            )


def _answer(entry: Entry, question: Question) -> Answered:
    if not isinstance(entry.value, str):
        raise PargoError(
            f"{entry.where}: {entry.key}: {entry.value!r:.60}, expected text: a file holds answers or grades, not both"
        )
    return Answered(**question.model_dump(), answer=entry.value.strip())


def _graded(entries: Sequence[Entry], questions: dict[str, Question]) -> list[Answered]:
    answers: list[Answered] = []
    num_runs = len(_scores(entries[0]))
    for entry in entries:
        scores, question = _scores(entry), questions[entry.key]
        if len(scores) != num_runs:
            raise PargoError(
                f"{entry.where}: {entry.key}: {len(scores)} run(s), but {entries[0].key} has {num_runs}: "
                "every question is graded as often"
            )
        details = question.details | {"grade": repr(math.fsum(scores) / num_runs)}
        if judges := _judges(entry):
            details["judges"] = ",".join(judges)
        if num_runs > 1:
            details["grades"] = ",".join(map(repr, scores))
        fields = {name: getattr(question, name) for name in Question.model_fields}
        answers.append(Answered(**fields | {"details": details}, answer=""))
    return answers


def _judges(entry: Entry) -> list[str]:
    """Models that graded, and by which prompt of ours, where the file says it."""
    models, prompts = (
        [str(item).replace(",", " ") for item in entry.value.get(key, ())]
        if isinstance(entry.value, dict) and isinstance(entry.value.get(key, []), list)
        else []
        for key in ("model", "prompt")
    )
    return sorted({" by prompt ".join(pair) for pair in zip(models, prompts, strict=False)} if prompts else {*models})


def _scores(entry: Entry) -> list[float]:
    value = entry.value
    if not isinstance(value, dict):
        return [_number(value, entry)]
    if "score" not in value:
        raise PargoError(f"{entry.where}: {entry.key}: no `score`")
    if not isinstance(value["score"], list) or not value["score"]:
        raise PargoError(
            f"{entry.where}: {entry.key}: `score` is {value['score']!r:.60}, expected a list with a number for each run"
        )
    return [_number(score, entry) for score in value["score"]]


def _number(value: Any, entry: Entry) -> float:
    # NaN compares false
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise PargoError(f"{entry.where}: {entry.key}: score {value!r:.60}, expected a number from 0 to 1")
    return float(value)
