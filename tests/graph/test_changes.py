"""What differs from the recorded run is said by stage and in words, and equal things are not mentioned."""

import json
from typing import Any

import pytest
import yaml

from pargo.graph.changes import describe_changes
from pargo.graph.dvc_stages import render_params, stage_name, stage_params
from pargo.graph.jobs import Job
from tests.helpers.dvc_jobs import make_job

NAME = "micro-score-pargo-seed-0"


def lock_of(*jobs: Job) -> str:
    """dvc.lock after a run of these jobs."""
    stages: dict[str, Any] = {"quick-x": {"cmd": "of another config"}}
    for job in jobs:
        name, held = stage_name("micro", job), stage_params(job)
        keys = {f"{name}.{key}": held[key] for key in ("code", "settings_sha256")}
        stages[name] = {"cmd": "x", "params": {"dvc-params.json": keys}}
    return yaml.safe_dump({"schema": "2.0", "stages": stages})


def describe(jobs: list[Job], *recorded: Job, files: dict[str, list[str]] | None = None, params: str = "") -> list[str]:
    return describe_changes("micro", jobs, lock_of(*recorded), params, lambda job, code: (files or {}).get(code, []))


def with_settings(settings: dict[str, Any]) -> Job:
    return make_job(settings=json.dumps(settings))


def test_recorded_run_has_no_changes() -> None:
    jobs = [make_job(), make_job("features")]
    assert describe(jobs, *jobs) == []
    assert describe([make_job(code_files=("pargo/other.py",), reason="would run", command="x")], make_job()) == []


@pytest.mark.parametrize(
    ("files", "end"),
    [
        ([], ""),  # not known which
        (["pargo/a.py"], ": pargo/a.py"),
        (["pargo/a.py", "b", "c", "d", "e"], ": pargo/a.py, b, c, and 2 more"),
    ],
)
def test_code(files: list[str], end: str) -> None:
    assert describe([make_job(code="new")], make_job(code="old"), files={"old": files}) == [
        f"{NAME}: its code differs from the recorded run's{end}"
    ]


def test_settings_that_changed_are_named_with_their_values() -> None:
    before = with_settings({"a": {"b": 1, "c": [1], "same": 0}, "gone": True})
    now = with_settings({"a": {"b": 2, "c": [1, 2], "same": 0}, "new": "x"})
    assert describe([now], before, params=render_params("micro", [before], "")) == [
        f"{NAME}: its settings differ from the recorded run's: "
        "a.b: 1, now 2, a.c: [1], now [1, 2], gone: true, now null, and 1 more"
    ]


def test_settings_of_a_file_written_anew_are_not_taken_for_the_recorded_ones() -> None:
    before, now = with_settings({"a": 1}), with_settings({"a": 2})
    for params in ("", render_params("micro", [now], ""), render_params("micro", [with_settings({"a": 3})], "")):
        assert describe([now], before, params=params) == [f"{NAME}: its settings differ from the recorded run's"]


def test_order_of_settings_is_no_change() -> None:
    assert describe([with_settings({"a": 1, "b": 2})], with_settings({"b": 2, "a": 1})) == []


def test_stages_that_came_and_went() -> None:
    assert describe([make_job("features")], make_job("score")) == [
        "micro-features-pargo-seed-0: not recorded",
        f"{NAME}: recorded, but the config has it no longer",
    ]
    assert describe_changes("micro", [make_job()], "", "", lambda job, code: []) == [f"{NAME}: not recorded"]


def test_stages_of_the_older_form_are_told_in_one_line() -> None:
    jobs = [make_job(), make_job("features")]
    older = {stage_name("micro", job): {"params": {"dvc-params.json": {stage_name("micro", job): {}}}} for job in jobs}
    lock = yaml.safe_dump({"stages": older | {"micro-gone": {"cmd": "x"}}})
    old_params = json.dumps({stage_name("micro", job): {"learning_rate": 0.001} for job in jobs})
    assert describe_changes("micro", jobs, lock, old_params, lambda job, code: []) == [
        "dvc.lock: 3 stages are in the form of an older ParGo-Repro: "
        "`pargo versions record` writes them anew where their run is finished",
        "micro-gone: recorded, but the config has it no longer",
    ]
