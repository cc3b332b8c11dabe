"""What is wrong with a value is said in one way, whoever validates, and never in pydantic's words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from pargo.benchmarks.mmvet.judge_log import GradeLog
from pargo.benchmarks.scores.score_file import read_score
from pargo.config.base import Settings
from pargo.config.jobs import load_jobs
from pargo.config.words import explain_all
from pargo.errors import PargoError
from pargo.export.settings import read_model_settings
from pargo.fetch.table import read as read_table
from pargo.jobs.stage import call_stage

PYDANTIC = ("Input should", "Field required", "Extra inputs", "Invalid JSON", "valid string", "type=", "\n")


class Small(Settings):
    kind: Literal["small"] = "small"
    size: Annotated[int, Field(gt=0)] = 1


class Large(Settings):
    kind: Literal["large"]
    weight: float

    @model_validator(mode="after")
    def _light(self) -> Large:
        if self.weight > 9:
            raise ValueError("too heavy")
        return self


class Whole(Settings):
    name: str = Field("x", min_length=1)
    part: Annotated[Small | Large, Field(discriminator="kind")] = Small()
    parts: dict[str, Small] = Field({})
    maybe: Small | None = None
    sizes: tuple[int, ...] = Field((), max_length=2)
    mode: Literal["a", "b"] = "a"
    named: dict[Literal["one"], int] = Field({})


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"name": 1}, "name: 1 is not valid: expected text"),
    ({"name": ""}, "name: '' is not valid: expected text that is not empty"),
    ({"nmae": 1}, "nmae: unknown key; did you mean 'name'? (choices: maybe, mode, name, named, part, parts, sizes)"),
    ({"parts": {"p": {"size": 0}}}, "parts.p.size: 0 is not valid: expected more than 0"),
    ({"parts": {"p": {"sise": 1}}}, "parts.p.sise: unknown key; did you mean 'size'? (choices: kind, size)"),
    ({"parts": {"p": 3}}, "parts.p: 3 is not valid: expected a mapping"),
    ({"maybe": {"q": 1}}, "maybe.q: unknown key (choices: kind, size)"),
    ({"part": {"kind": "huge"}}, "part.kind: 'huge' is not valid; choices: small, large"),
    ({"part": {}}, "part.kind: required but not given"),
    ({"part": {"kind": "large"}}, "part.weight: required but not given"),
    ({"part": {"kind": "large", "weight": 10}}, "part: too heavy"),
    ({"part": {"kind": "large", "weight": 1, "q": 1}}, "part.q: unknown key (choices: kind, weight)"),
    (
        {"part": {"kind": "large", "weight": "1e-3"}},
        "part.weight: '1e-3' is not valid: expected a number; YAML reads 1e-3 as text: write 1.0e-3",
    ),
    ({"sizes": [1, 2, 3]}, "sizes: [1, 2, 3] is not valid: expected at most 2 items, got 3"),
    ({"sizes": [1.5]}, "sizes.0: 1.5 is not valid: expected a whole number"),
    ({"mode": "c"}, "mode: 'c' is not valid: choices: a, b"),
    ({"named": {"two": 2}}, "named.two: 'two' is not valid: choices: one"),
    ({"name": 1, "mode": "c"}, "name: 1 is not valid: expected text; mode: 'c' is not valid: choices: a, b"),
]


@pytest.mark.parametrize(("data", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_every_kind_of_fault_has_its_sentence(data, message):
    kind = TypeAdapter(Whole)
    with pytest.raises(ValidationError) as caught:
        kind.validate_json(json.dumps(data))
    assert explain_all(caught.value, kind.json_schema(), data=data, in_yaml=True) == message
    assert "YAML" not in explain_all(caught.value)


def test_each_fault_is_said_once_and_below_its_place():
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(int | float).validate_python(None, strict=True)
    assert len(caught.value.errors()) == 2
    assert explain_all(caught.value).startswith("int: null is not valid: expected a whole number; float: ")
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, Small]).validate_python({"a": {"kind": "small", "size": 0}})
    assert explain_all(caught.value) == "a.size: 0 is not valid: expected more than 0"
    assert explain_all(caught.value, below="parts") == "parts.a.size: 0 is not valid: expected more than 0"


def test_a_broken_text_and_a_value_alone_need_no_field():
    class Empty(BaseModel):
        pass

    with pytest.raises(ValidationError) as caught:
        Empty.model_validate_json(b"{")
    assert explain_all(caught.value).startswith("not valid JSON: EOF while parsing")
    with pytest.raises(ValidationError) as caught:
        Empty.model_validate_json(b"[]")
    assert explain_all(caught.value) == "[] is not valid: expected a mapping"


def _yaml(path: Path, data: Any) -> Path:
    path.write_text(yaml.safe_dump(data))
    return path


def _lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _model(path: Path, data: Any) -> None:
    (path / "config.json").write_text(json.dumps(data))
    read_model_settings(path)


USERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "jobs": (
        lambda path: load_jobs(_yaml(path / "f", {"stages": {"caption": {"nodse": 1}}})),
        "stages.caption.nodse: unknown key; did you mean 'nodes'?",
    ),
    "table": (lambda path: read_table(_yaml(path / "f", {"x": {"kind": "hub", "sise": 1}})), "x.sise: unknown key"),
    "model": (lambda path: _model(path, {"vision": 3}), "vision: 3 is not valid: expected a mapping"),
    "grades": (
        lambda path: GradeLog(_lines(path / "f", {"id": 1})),
        "f:1: not a grade: request: required but not given",
    ),
    "score": (
        lambda path: read_score(_lines(path / "f", {})),
        "benchmark: required but not given (files of older versions must be scored again)",
    ),
    "command": (
        lambda path: call_stage("pargo.benchmarks.scores.score", "run", '{"bootstrap_samples": "x"}', {}),
        "--settings are no ScoreSettings: ",
    ),
}


@pytest.mark.parametrize("user", USERS)
def test_each_user_explains_in_the_same_words(tmp_path, user):
    take, message = USERS[user]
    with pytest.raises(PargoError) as caught:
        take(tmp_path)
    text = str(caught.value)
    assert message in text
    assert not [word for word in PYDANTIC if word in text]
