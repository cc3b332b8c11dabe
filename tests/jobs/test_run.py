"""A stage of the table: in this process, as a job, as an array of jobs; and what is said before it is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pargo.code import import_closure
from pargo.config.quality import Quality
from pargo.errors import UsageError
from pargo.jobs.record import ON_INTERRUPT
from pargo.jobs.run import run_stage
from pargo.jobs.stage import StageCall
from pargo.manifest import publish, read_provenance
from pargo.stages import Input, Plugin, Shards, Stage
from tests.helpers.workflow_project import copy_project

STAGE = Stage(
    "shared",
    "shared_stage",
    "Does texts.",
    (Input("texts", "named"),),
    heavy=True,
    keeps=True,
    shards=Shards("shared_stage:part", "work.num_shards", "parts", "done.txt"),
    plugins=(Plugin("shared_stage:modules", ("work.kind",)),),
)
LIGHT = STAGE._replace(heavy=False)


@pytest.fixture(autouse=True)
def stage_is_importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{Path(__file__).parents[2]}")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def run(tmp_path) -> Callable[..., list[list[str]]]:
    """Run the stage on four texts; the words of each line that it wrote."""
    texts = {name: tmp_path / f"{name}.txt" for name in "abcd"}
    for name, path in texts.items():
        path.write_text(name.upper())

    def done(stage: Stage, number: Any, executor: str) -> list[list[str]]:
        settings = {"work": {"kind": "plain", "num_shards": number}}
        output = tmp_path / "output"
        run_stage(stage, settings, {"texts": texts}, output, tmp_path / "run", executor)
        return [line.split() for line in output.read_text().splitlines()]

    return done


@pytest.mark.parametrize("stage", [STAGE, LIGHT])
def test_a_stage_of_an_interrupted_run_does_not_begin(run, tmp_path, monkeypatch, stage):
    monkeypatch.setenv(ON_INTERRUPT, "end")
    with pytest.raises(KeyboardInterrupt):
        run(stage, 1, "local")
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "output").exists()


def test_a_job_is_another_when_a_file_of_a_person_is(tmp_path):
    calls = [StageCall("toy", "run", "{}", {}, tmp_path, local=local) for local in ({}, {"a": "1"}, {"a": "2"})]
    assert len({call.spec() for call in calls}) == 3


def test_a_light_stage_runs_in_this_process(run):
    (_, together), *lines = run(LIGHT, 1, "nothing that there is")
    assert int(together) == os.getpid()
    assert lines == [[together, name, name.upper()] for name in "abcd"]


@pytest.mark.parametrize(("executor", "here"), [("inline", True), ("local", False)])
def test_a_heavy_stage_is_one_job(run, executor, here):
    (_, together), *lines = run(STAGE, 1, executor)
    assert (int(together) == os.getpid()) == here
    assert lines == [[together, name, name.upper()] for name in "abcd"]


def test_several_jobs_share_it_and_this_process_puts_their_parts_together(run, tmp_path):
    (_, together), *lines = run(STAGE, 3, "local")
    assert int(together) == os.getpid()
    assert [line[1:] for line in lines] == [[name, name.upper()] for name in "adbc"]  # by part: 0, 1, 2
    assert len({line[0] for line in lines} - {together}) == 3
    assert [(tmp_path / "run" / str(shard) / "done.txt").is_file() for shard in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (None, "--settings: work: expected a mapping with kind"),
        ({"num_shards": 1}, "--settings: work: expected a mapping with kind"),
        ({"kind": "plain"}, "--settings: work: expected a mapping with num_shards"),
        ({"kind": "other", "num_shards": 1}, "--settings: unknown work 'other'; choices: plain"),
        ({"kind": "plain", "num_shards": 0}, "--settings: work.num_shards: 0 is not valid: expected at least 1"),
        ({"kind": "plain", "num_shards": "x"}, "--settings: work.num_shards: 'x' is not valid: expected at least 1"),
        ({"kind": "plain", "num_shards": True}, "--settings: work.num_shards: True is not valid: expected at least 1"),
    ],
)
def test_settings_that_are_wrong_run_nothing(work, message, tmp_path):
    with pytest.raises(UsageError) as error:
        run_stage(STAGE, {"work": work}, {"texts": {}}, tmp_path / "output", tmp_path / "run")
    assert str(error.value) == message
    assert not list(tmp_path.iterdir())


def test_settings_of_another_stage(tmp_path):
    with pytest.raises(UsageError, match=r"--settings are no SharedSettings: .*more: "):
        run_stage(
            LIGHT,
            {"work": {"kind": "plain", "num_shards": 1}, "more": 1},
            {"texts": {}},
            tmp_path / "output",
            tmp_path / "run",
        )


@pytest.mark.parametrize(
    ("kind", "value"),
    [("one", Path("nowhere")), ("named", {"a": Path("nowhere")}), ("several", [Path("nowhere")])],
)
def test_inputs_are_looked_for_before_the_stage_is_imported(kind, value, tmp_path):
    stage = Stage("x", "no_such_module", "", (Input("texts", kind),))
    with pytest.raises(UsageError, match=r"^--texts: nowhere does not exist"):
        run_stage(stage, {}, {"texts": value}, tmp_path / "output")


@pytest.mark.parametrize(("kind", "value"), [("one", None), ("named", {}), ("several", [])])
def test_an_input_may_be_left_out(kind, value, tmp_path):
    stage = Stage("x", "no_such_module", "", (Input("texts", kind, optional=True),))
    with pytest.raises(ModuleNotFoundError):
        run_stage(stage, {}, {"texts": value}, tmp_path / "output")


def published(path: Path, **settings: Any) -> None:
    """An artifact as the stage would have made it."""
    with publish(path, settings=settings, code=import_closure(PLAIN.module)) as folder:
        (folder / "made").write_text("before")


PLAIN = Stage("filter", "pargo.captions.filter", "", ())
NOW = {"split": "train", "quality": json.loads(Quality().model_dump_json())}
BEFORE = {"split": "train", "quality": {name: value for name, value in NOW["quality"].items() if name != "unfinished"}}


def run_filter(settings: dict[str, Any], output: Path) -> None:
    run_stage(PLAIN, settings, {}, output)


@pytest.mark.parametrize("place", ["artifacts/micro/captions/a", "artifacts/other/captions/a"])
def test_a_new_field_that_nobody_chose_makes_nothing_anew(place, tmp_path, monkeypatch, capsys):
    """As `pargo status` says it: what is there is kept, and what was made elsewhere is restored."""
    monkeypatch.chdir(tmp_path)
    output = Path("artifacts/micro/captions/a")
    published(Path(place), **BEFORE)
    run_filter(NOW, output)
    assert ("came out as before" if place == str(output) else "it was made before") in capsys.readouterr().out
    assert (output / "made").read_text() == "before"
    with pytest.raises(TypeError, match="missing"):  # it is chosen: the stage runs, here without its inputs
        run_filter({"split": "train", "quality": NOW["quality"] | {"unfinished": True}}, output)


EDITS_ITSELF = """
from pathlib import Path
from pargo.code import import_closure
from pargo.manifest import publish

def run(settings: dict, output: Path) -> None:
    with open(__file__, "a") as file:
        file.write("EDITED = True\\n")
    with publish(output, settings=settings, code=import_closure("pargo.edits_itself")):
        pass
"""
CALL = """
from pathlib import Path
from pargo.jobs.stage import StageCall
print(StageCall("pargo.edits_itself", "run", "{}", {"output": Path("out")}, Path("run"))())
"""


def test_code_that_is_edited_while_a_job_runs_is_not_what_made_its_result(tmp_path):
    """Also of a stage that publishes at its end, as most do."""
    copy_project(tmp_path)
    stage = tmp_path / "pargo/edits_itself.py"
    stage.write_text(EDITS_ITSELF)
    hashed = "from pargo.code import code_hash, import_closure as c; print(code_hash(c('pargo.edits_itself')))"

    def python(text: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        words = [sys.executable, "-c", text]
        return subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    before = python(hashed).strip()
    assert python(CALL) == "None\n"
    assert stage.read_text() != EDITS_ITSELF
    assert read_provenance(tmp_path / "out")["code"] == before != python(hashed).strip()
