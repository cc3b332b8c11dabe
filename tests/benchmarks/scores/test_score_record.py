"""Score records: written and read without a change, checked field by field, and read by all through one class."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from pargo.benchmarks.scores.score import score_files, to_json
from pargo.benchmarks.scores.score_file import read_score
from pargo.benchmarks.scores.score_parts import Baseline, Headline
from pargo.benchmarks.scores.score_record import Result
from pargo.benchmarks.scores.show import show
from pargo.code import import_closure
from pargo.errors import PargoError

ROOT = Path(__file__).parents[3]
CASES = Path(__file__).parents[1] / "cases"
COMMITTED = sorted(ROOT.glob("reports/*/scores/*/*/*.json"))
MMVET = [CASES / "mmvet_single_capability" / name for name in ("mm-vet.json", "grades.json")]
INPUTS = {  # kind and files of one score each, with what the others lack
    "two parsers": ("mme", [CASES / "mme_other_txt_in_folder" / "results"]),
    "an edition": ("mmbench", [next((CASES / "mmbench_answer_is_a_text").glob("*.tsv"))]),
    "notes": (
        "pope",
        [CASES / "pope_own_question_ids" / "coco_pope_random.json", CASES / "pope_own_question_ids" / "answers.json"],
    ),
    "judges": ("mmvet", MMVET),
}


def record_of(name: str) -> dict[str, Any]:
    kind, files = INPUTS[name]
    return json.loads(to_json(score_files(kind, files, samples=5, partial=kind == "mme")))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: "/".join(path.parts[-3:]))
def test_committed_files_are_read_and_written_without_a_change(path):
    assert to_json(read_score(path).record) == path.read_text(encoding="utf-8")


def test_there_are_committed_files():
    assert len(COMMITTED) >= 4


@pytest.mark.parametrize("name", INPUTS)
def test_a_file_is_the_record_that_was_written(tmp_path, name):
    kind, files = INPUTS[name]
    record = score_files(kind, files, samples=5, partial=kind == "mme")
    path = tmp_path / "score.json"
    path.write_text(to_json(record), encoding="utf-8")
    assert read_score(path).record == record
    assert to_json(read_score(path).record) == path.read_text(encoding="utf-8")
    assert list(json.loads(path.read_text())) == [
        *("benchmark", "parser", "parser_version", "asked"),
        *(["edition"] if name == "an edition" else []),
        *("headline", "tasks", "figures", "counts"),
        *(["judges"] if name == "judges" else []),
        *("baselines", "correct", "values", "inputs", "notes"),
    ]


def test_a_file_without_grades_too(tmp_path):
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(dict.fromkeys(json.loads(MMVET[0].read_text()), "a word")))
    record = score_files("mmvet", [MMVET[0], answers], samples=5)
    path = tmp_path / "score.json"
    path.write_text(to_json(record), encoding="utf-8")
    assert read_score(path).record == record
    assert (record.is_graded, record.headline.value, record.headline.interval) == (False, None, None)
    assert json.loads(path.read_text())["headline"]["value"] is None
    with pytest.raises(ValueError, match="no judge has read the answers"):
        _ = record.headline.known
    console = Console(file=io.StringIO(), width=200)
    show(read_score(path).record, console)
    text = console.file.getvalue()
    assert (
        f"mmvet, parser judge (version 1): not graded; {record.num_questions(None)} questions wait for a judge" in text
    )
    assert "None" not in text


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("benchmark",), None, "benchmark: expected text"),
        (("headline", "value"), None, "headline: `interval` should be null where `value` is"),
        (("headline", "value"), "0.5", "headline.value: expected a finite number"),
        (("headline", "value"), True, "headline.value: expected a finite number"),
        (("headline", "interval"), [0.5], "headline.interval: expected two finite numbers"),
        (("headline", "rule"), "median", "headline.rule: choices: sum, mean, pooled"),
        (("headline", "num_images"), -1, "headline.num_images: expected at least 0"),
        (("tasks", "random", "score"), None, "tasks.random: `interval` should be null where `score` is"),
        (("tasks", "random", "unparseable"), 0.5, "tasks.random.unparseable: expected a whole number"),
        (("figures", "random", "f1"), "high", "figures.random: expected a finite number"),
        (("counts", "neither_yes_nor_no"), 1.5, "counts.neither_yes_nor_no: expected a whole number"),
        (("baselines", "constant_answer"), {"value": 1}, "baselines.constant_answer.how: required but not given"),
        (("correct", "random"), [1, 0], "correct.random: expected a mapping"),
        (("notes",), [1], "notes.0: expected text"),
    ],
)
def test_a_bad_field_is_named_with_its_file(tmp_path, where, value, message):
    data = part = record_of("notes")
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    path = tmp_path / "score.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(PargoError) as error:
        read_score(path)
    assert str(error.value).startswith(f"{path} is not a score file of `pargo score`, {message}")
    assert str(error.value).endswith(" (files of older versions must be scored again)")


def test_parts_that_do_not_fit_together_are_named(tmp_path):
    path, data = tmp_path / "score.json", record_of("notes")
    for change, message in (
        ({"values": data["values"] | {"x": {"i": [1, 1]}}}, "`tasks` lacks 'x' of `values`"),
        ({"tasks": data["tasks"] | {"x": data["tasks"]["random"]}}, "`values` lacks 'x' of `tasks`"),
        (
            {"tasks": {"random": data["tasks"]["random"] | {"score": None, "interval": None}}},
            "tasks.random.score: null, though the headline is graded",
        ),
    ):
        path.write_text(json.dumps(data | change), encoding="utf-8")
        with pytest.raises(PargoError) as error:
            read_score(path)
        assert str(path) in str(error.value)
        assert message in str(error.value)


def test_no_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "nothing.json", tmp_path):
        with pytest.raises(PargoError, match=f"cannot read {path}: "):
            read_score(path)


def test_a_field_of_a_later_version_is_left_alone_but_none_is_made(tmp_path):
    path, data = tmp_path / "score.json", record_of("judges")
    path.write_text(json.dumps(data | {"later": 1}), encoding="utf-8")
    assert json.loads(to_json(read_score(path).record)) == data
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Baseline(value=1, how="so", hwo="so")


@pytest.mark.parametrize(
    ("rule", "maximum", "tasks", "points"),
    [("sum", 2800, 14, 200), ("sum", 200, 1, 200), ("mean", 1, 3, None), ("pooled", 1, 3, None), ("sum", 0, 0, None)],
)
def test_points_of_a_task(rule, maximum, tasks, points):
    task = {"score": None, "accuracy": None, "accuracy_plus": None, "interval": None}
    task |= {"num_questions": 2, "num_images": 1, "unparseable": 3}
    line = Headline(name="score", rule=rule, maximum=maximum, value=None, interval=None, num_questions=2, num_images=1)
    empty = {"figures": {}, "counts": {}, "baselines": {}, "correct": {}, "values": {}}
    result = Result(headline=line, tasks={f"t{number}": task for number in range(tasks)}, **empty)
    assert result.points_per_task == points
    assert result.unparseable == 3 * tasks


def test_figures_are_read_by_what_they_are():
    kind, files = INPUTS["judges"]
    record = score_files(kind, files, samples=5)
    assert record.number("total") == record.headline.value
    assert record.numbers("capability").keys() == record.numbers("official_capability").keys() - {"total", "std"}
    with pytest.raises(PargoError, match="no number 'capability' among its figures: capability, integration, total"):
        record.number("capability")
    with pytest.raises(PargoError, match="no table 'nothing' among its figures"):
        record.numbers("nothing")


def test_no_benchmark_needs_the_report():
    modules = (path.relative_to(ROOT) for path in (ROOT / "pargo" / "benchmarks").rglob("*.py"))
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in modules]
    assert not [path for path in import_closure(*names) if path.as_posix().startswith("pargo/report/")]
