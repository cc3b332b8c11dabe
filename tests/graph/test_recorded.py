"""Which artifacts that are not here are recorded as their jobs would make them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pargo.graph.dvc_stages import stage_definition, stage_name, stage_params
from pargo.graph.jobs import Job, with_reasons
from pargo.graph.recorded import Recorded
from pargo.graph.status import state_of
from pargo.layout import manifest_path
from tests.helpers.dvc_jobs import make_job

FEATURES = Path("artifacts/micro/features/x")
MODEL = Path("artifacts/micro/models/a/seed-0/finetune")


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """A clone: the manifests of two artifacts, one made from the other, their record, and a cache that has them."""
    monkeypatch.chdir(tmp_path)
    found = [
        make_job("features", output=FEATURES, paths=()),
        make_job("finetune", output=MODEL, paths=(FEATURES,), settings='{"train":{"num_workers":1}}'),
    ]
    for job in found:
        manifest_path(job.output).parent.mkdir(parents=True)
        manifest_path(job.output).write_text(json.dumps({"files": {job.rule: {}}}))
    write_lock(found)
    write_params(found)
    (tmp_path / ".dvc/cache/files/md5/ab").mkdir(parents=True)
    for job in found:
        (tmp_path / f".dvc/cache/files/md5/ab/{job.rule}.dir").write_text("[]")
    return found


def write_lock(jobs: list[Job]) -> None:
    stages = {}
    for job in jobs:
        name, held = stage_name("micro", job), stage_params(job)
        stages[name] = {
            "cmd": stage_definition("micro", job)["cmd"],
            "deps": [{"path": path, "md5": md5(path)} for path in job.inputs],
            "params": {"dvc-params.json": {f"{name}.{key}": held[key] for key in ("code", "settings_sha256")}},
            "outs": [{"path": path, "md5": md5(path, job.rule)} for path in job.outputs],
        }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))


def write_params(jobs: list[Job]) -> None:
    Path("dvc-params.json").write_text(json.dumps({stage_name("micro", job): stage_params(job) for job in jobs}))


def md5(path: str, rule: str = "") -> str:
    file = Path(path)
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() if file.is_file() else f"ab{rule}.dir"


def states(*jobs: Job) -> list[str]:
    return [state_of(job) for job in with_reasons(jobs, Recorded("micro").restorable)]


def changed(job: Job, **settings: Any) -> Job:
    return replace(job, settings=json.dumps({"train": settings}), chosen=json.dumps({"train": settings}))


def test_what_a_clone_lacks_is_restorable(jobs: list[Job]) -> None:
    assert states(*jobs) == ["restorable", "restorable"]
    assert [job.recorded for job in with_reasons(jobs)] == [False, False], "where jobs are going to run"


def test_other_code_and_settings_are_not(jobs: list[Job]) -> None:
    features, model = jobs
    assert states(features, replace(model, code="new")) == ["restorable", "would run"]
    assert states(features, changed(model, num_workers=1, learning_rate=1)) == ["restorable", "would run"]
    assert states(replace(features, code="new"), model) == ["would run", "may run"]  # unless it comes out the same


def test_a_setting_without_effect_is_no_difference(jobs: list[Job]) -> None:
    assert states(jobs[0], changed(jobs[1], num_workers=5)) == ["restorable", "restorable"]
    write_params([])  # the recorded settings are not known: their hash alone
    assert states(jobs[0], changed(jobs[1], num_workers=5)) == ["restorable", "would run"]


def test_manifests_are_those_of_the_record(jobs: list[Job]) -> None:
    manifest_path(FEATURES).write_text("of another run")
    assert states(*jobs) == ["would run", "would run"]
    manifest_path(FEATURES).unlink()
    assert states(*jobs) == ["would run", "would run"]


def test_what_neither_cache_nor_remote_has_would_run(jobs: list[Job]) -> None:
    Path(".dvc/cache/files/md5/ab/finetune.dir").unlink()
    assert states(*jobs) == ["restorable", "would run"]
    Path(".dvc/config").write_text("[core]\n    remote = first\n['remote \"first\"']\n    url = /somewhere\n")
    assert states(*jobs) == ["restorable", "restorable"]


def test_what_is_here_is_not_away(jobs: list[Job]) -> None:
    MODEL.mkdir()
    assert not Recorded("micro").away(jobs[1])
    assert not Recorded("other").away(jobs[0])
    Path("dvc.lock").unlink()
    assert not Recorded("micro").away(jobs[0])


def test_what_is_recorded_as_it_is_now_needs_no_dvc(jobs: list[Job]) -> None:
    assert all(Recorded("micro").holds(job) for job in jobs)


@pytest.mark.parametrize("change", ["code", "settings", "command", "result", "input", "cache", "record"])
def test_what_differs_from_the_record_is_not_held(jobs: list[Job], change: str) -> None:
    features, model = jobs
    if change == "code":
        model = replace(model, code="other")
    elif change == "settings":
        model = replace(model, settings='{"train":{"num_workers":2}}')
    elif change == "command":
        model = replace(model, command=f"{model.command} --found x")
    elif change == "result":
        manifest_path(MODEL).write_text("{}")
    elif change == "input":
        manifest_path(FEATURES).write_text("{}")
    elif change == "cache":
        Path(".dvc/cache/files/md5/ab/finetune.dir").unlink()
    else:
        Path("dvc.lock").unlink()
    assert not Recorded("micro").holds(model)
    assert Recorded("micro").holds(features) == (change in ("code", "settings", "command", "result", "cache"))
