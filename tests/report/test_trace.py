"""From a number of a table to the lines that made it: all of them exist, and an edited one is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.errors import PargoError, UsageError
from pargo.layout import Layout
from pargo.made import Spec, as_record, write_record
from pargo.report.json_lines import lines_of
from pargo.report.trace import Tracer, render
from tests.helpers.report_project import Project

CONFIG = "config/synthetic.yaml"


@pytest.fixture
def traced(two_seeds: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the run with its report, in the project's own places, with the records that jobs leave."""
    shutil.copytree(Path.cwd(), tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    two_seeds.report(two_seeds.layout.reports)
    record = as_record(Spec("report_answers", {}, "", ()))
    write_record(two_seeds.layout.answers, record)
    return two_seeds


def every(project: Project) -> list[tuple[str, str, str]]:
    tracer = Tracer(project.settings.config, CONFIG)
    return [
        (table, row, column)
        for table in tracer.names()
        for row in tracer.names(table)
        for column in tracer.names(table, row)
    ]


def test_every_number_leads_to_lines_that_exist_and_hold_it(traced: Project) -> None:
    tracer, numbers = Tracer(traced.settings.config, CONFIG), every(traced)
    assert len(numbers) > 150
    for number in numbers:
        found = tracer.trace(*number)
        assert found.problems == []
        assert bool(found.files) == (found.status in ("measured", "computed")) or found.status == "unknown"
        for part in found.files:
            lines = Path(part.path).read_text().splitlines()
            ((first, last),) = part.numbers
            assert 1 <= first <= last <= len(lines)
        if found.status == "measured" and found.files[0].what in ("headline.value",) and len(found.files) == 1:
            assert repr(found.value) in found.files[0].text[0]


def test_a_score_leads_to_the_answers_that_count(traced: Project) -> None:
    found = Tracer(traced.settings.config, CONFIG).trace("mini_mme", "mini_mme.score.pargo.seed-1", "OCR")
    (answers,) = found.answers
    record = json.loads(traced.layout.score("pargo", 1, "mini_mme").read_text())
    lines = Path(answers.path).read_bytes().splitlines()
    rows = [json.loads(lines[number - 1]) for first, last in answers.numbers for number in range(first, last + 1)]
    assert {row["task"] for row in rows} == {"OCR"}
    marks = [row["answers"]["pargo"]["1"][1] for row in rows]
    assert sum(marks) == sum(map(sum, record["correct"]["OCR"].values()))
    assert len(marks) == record["tasks"]["OCR"]["num_questions"]
    text = render(found)
    for part in ("artifacts/synthetic/predictions/pargo/seed-1/mini_mme", "seed-1/finetune", "sources/mini_mme"):
        assert part in text
    assert f"{answers.path}:{answers.numbers[0][0]}-{answers.numbers[0][1]} [as recorded]" in text


def broken(project: Project) -> set[tuple[str, str, str]]:
    """Numbers that are no longer as they were: table, row, column."""
    tracer = Tracer(project.settings.config, CONFIG)
    return {number for number in every(project) if tracer.trace(*number).problems}


@pytest.mark.parametrize(
    ("path", "tables"),
    [
        ("answers/mini_mme.jsonl", {"projectors", "mini_mme", "claims", "ablations", "captions"}),
        ("scores/qformer/seed-0/easy_vqa.json", {"projectors", "easy_vqa", "claims"}),
        ("training.json", {"projectors", "cost"}),
    ],
)
def test_an_edited_line_makes_the_numbers_fail_that_are_made_of_it(traced: Project, path: str, tables: set) -> None:
    file = traced.layout.reports / path
    text = file.read_text()
    file.write_text(text.replace('"yes"', '"no"', 1) if "answers" in path else text.replace("1", "2", 1))
    found = broken(traced)
    assert {table for table, _, _ in found} == tables
    # all that a comparison says fails, and so does what others' p values make of it
    of_claims = {column for table, row, column in found if table == "claims" and row.endswith("mini_mme")}
    if "answers" in path:
        assert of_claims == {"difference", "p", "p_holm", "seeds", "images"}
    elif "scores" in path:
        assert of_claims == {"p_holm", "seeds", "images"}
    number = Tracer(traced.settings.config, CONFIG).trace("projectors", "pargo", "tokens")
    assert number.problems == ([f"{file}: changed"] if path == "training.json" else [])


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("scores/pargo/seed-0/mini_mme.json", "{", ""),
        ("scores/pargo/seed-0/mini_mme.json", '"headline"', '"headlines"'),
        ("answers/mini_mme.jsonl", '"id"', "id"),
        ("answers/mini_mme.jsonl", '"answers"', '"said"'),
    ],
)
def test_a_file_that_is_no_longer_what_it_was_is_told_and_no_crash(
    traced: Project, path: str, old: str, new: str
) -> None:
    file = traced.layout.reports / path
    file.write_text(file.read_text().replace(old, new, 1))
    found = Tracer(traced.settings.config, CONFIG).trace("projectors", "pargo", "mini_mme.total")
    assert found.problems == [f"{file}: changed"]
    assert f"NOT AS IT WAS: {file}: changed" in render(found)


def test_an_edited_table_is_told(traced: Project) -> None:
    write_record(traced.layout.tables, as_record(Spec("report_tables", {}, "", ())))
    cells = traced.layout.tables / "cells.json"
    assert Tracer(traced.settings.config, CONFIG).trace("projectors", "pargo", "mini_mme.total").problems == []
    cells.write_text(cells.read_text().replace('"scale"', '"scales"', 1))
    found = Tracer(traced.settings.config, CONFIG).trace("projectors", "pargo", "mini_mme.total")
    assert found.problems == [f"{cells}: changed"]


def test_in_a_clone_the_artifacts_are_not_here_and_that_is_no_problem(traced: Project) -> None:
    for provenance in list(Path("artifacts").rglob("provenance.json")):
        shutil.rmtree(provenance.parent)
    found = Tracer(traced.settings.config, CONFIG).trace("projectors", "pargo", "mini_mme.total")
    assert found.problems == []
    assert {made.state for made in found.artifacts} == {"manifest as recorded, contents not here"}
    assert "`pargo versions restore` brings them" in render(found)
    manifest = Path(found.artifacts[0].manifest)
    manifest.write_text(manifest.read_text() + " ")
    found = Tracer(traced.settings.config, CONFIG).trace("projectors", "pargo", "mini_mme.total")
    assert found.problems == [f"{manifest}: changed"]


def test_what_there_is_not_is_told_with_the_choices(traced: Project) -> None:
    tracer = Tracer(traced.settings.config, CONFIG)
    for number, words in (
        (("projector", "pargo", "tokens"), "TABLE: 'projector' is not known; did you mean 'projectors'"),
        (("projectors", "parrgo", "tokens"), "ROW: 'parrgo' is not known; did you mean 'pargo'"),
        (("projectors", "pargo", "token"), "COLUMN: 'token' is not known; did you mean 'tokens'"),
    ):
        with pytest.raises(UsageError, match=words):
            tracer.trace(*number)
    with pytest.raises(PargoError, match="does not exist"):
        Tracer("nothing", CONFIG)


# Lines of JSON ------------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=4).filter(lambda key: "." not in key), VALUES, max_size=5))
def test_an_entry_stands_on_the_lines_that_are_told(data: dict[str, Any]) -> None:
    """Written with an indent, a value's lines are those that its own text has."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    for key, value in data.items():
        first, last = lines_of(text, key)
        lines = text.split("\n")[first - 1 : last]
        written = json.dumps(value, indent=1, ensure_ascii=False).split("\n")
        assert len(lines) == len(written)
        assert lines[0].startswith(f" {json.dumps(key, ensure_ascii=False)}: {written[0]}")
    assert lines_of(text, "") == (1, text.count("\n") + 1)


def test_keys_may_have_dots_and_what_is_missing_is_named() -> None:
    text = '{"a": {"x": [1,\n2],\n"b.c": 3}, "a.x": 4}'
    assert lines_of(text, "a.b.c") == (3, 3)
    assert lines_of(text, "a.x") == (1, 2)
    for wrong in ("a.y", "a.x.z", "b"):
        with pytest.raises(PargoError, match="no entry"):
            lines_of(text, wrong)


def test_layout_of_the_files() -> None:
    assert Layout("quick").answers / "mini_mme.jsonl" == Path("reports/quick/answers/mini_mme.jsonl")
