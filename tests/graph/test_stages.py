"""DVC's files are a pure function of the job list, and configs do not touch each other's stages."""

import hashlib
import json
import shlex

import yaml

from pargo.graph.dvc_stages import render_lock, render_params, render_stages, stage_definition
from tests.helpers.dvc_jobs import make_job


def test_stage_of_a_job() -> None:
    stages = yaml.safe_load(render_stages("micro", [make_job()], ""))["stages"]
    assert stages == {
        "micro-score-pargo-seed-0": {
            "cmd": "python -m pargo score --settings dvc-params.json:micro-score-pargo-seed-0 --output artifacts/x/d",
            "deps": ["artifacts/x/b", "artifacts/x/b.manifest.json", "reports/x/a.json"],
            "params": [
                {"dvc-params.json": ["micro-score-pargo-seed-0.code", "micro-score-pargo-seed-0.settings_sha256"]}
            ],
            "outs": ["artifacts/x/d", {"artifacts/x/d.manifest.json": {"cache": False}}],
        }
    }


def test_params_are_two_hashes_and_the_settings() -> None:
    assert json.loads(render_params("micro", [make_job()], "")) == {
        "micro-score-pargo-seed-0": {
            "code": "c0de",
            "settings_sha256": hashlib.sha256(b'{"learning_rate":0.001}').hexdigest(),
            "settings": {"learning_rate": 0.001},
        }
    }


def test_settings_with_an_apostrophe_leave_the_command_too() -> None:
    settings = """{"note":"it's  here"}"""
    job = make_job(settings=settings, command=f"python -m pargo score --settings {shlex.quote(settings)} x")
    assert stage_definition("micro", job)["cmd"] == (
        "python -m pargo score --settings dvc-params.json:micro-score-pargo-seed-0 x"
    )


def test_other_source_files_of_the_same_hash_change_no_file() -> None:
    """Which files a stage's code is stands nowhere; a hash tells."""
    jobs = [make_job(code_files=("pargo/a.py", "pargo/b.py"))]
    for render in (render_stages, render_params):
        assert render("micro", jobs, "") == render("micro", [make_job()], "")
    assert "pargo/" not in render_stages("micro", jobs, "") + render_params("micro", jobs, "")


def test_other_configs_keep_their_stages() -> None:
    other = render_stages("quick", [make_job("features"), make_job("score")], "")
    both = render_stages("micro", [make_job("score")], other)
    assert list(yaml.safe_load(both)["stages"]) == [
        "micro-score-pargo-seed-0",
        "quick-features-pargo-seed-0",
        "quick-score-pargo-seed-0",
    ]
    assert render_stages("quick", [make_job("features"), make_job("score")], both) == both
    params = render_params("micro", [make_job("score")], render_params("quick", [make_job("score")], ""))
    assert set(yaml.safe_load(params)) == {"micro-score-pargo-seed-0", "quick-score-pargo-seed-0"}


def test_stage_that_is_gone_leaves_all_files() -> None:
    both = [make_job("features"), make_job("score")]
    assert "features" not in render_stages("quick", both[1:], render_stages("quick", both, ""))
    assert "features" not in render_params("quick", both[1:], render_params("quick", both, ""))
    lock = yaml.safe_dump({"schema": "2.0", "stages": {f"quick-{job.name}": {} for job in both} | {"micro-x": {}}})
    assert set(yaml.safe_load(render_lock("quick", both[1:], lock))["stages"]) == {
        "quick-score-pargo-seed-0",
        "micro-x",
    }
    assert render_lock("quick", both, lock) == lock


def test_order_of_jobs_does_not_matter() -> None:
    jobs = [make_job("features"), make_job("score")]
    assert render_stages("quick", jobs, "") == render_stages("quick", jobs[::-1], "")
