"""Contract with DVC: it finds the keys in dvc-params.json as the stages name them, and reruns what changed."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_stages import make_job

from pargo.versioning.graph import Job
from pargo.versioning.stages import render_params, render_stages

DVC = Path(sys.executable).with_name("dvc")
NAME = "micro-score-pargo-seed-0-mini_mme"  # hyphens and an underscore


def dvc(root: Path, *arguments: str) -> str:
    done = subprocess.run([DVC, *arguments], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(root: Path, **changes: str) -> Job:
    """The files of one job that writes its command's options into a file."""
    settings = changes.get("settings", '{"rate":1e-05}')
    job = make_job(
        wildcards={"arm": "pargo", "seed": "0", "benchmark": "mini_mme"},
        inputs=(),
        outputs=("out",),
        directories=frozenset(),
        command=f"echo --settings '{settings}' > out",
        **({"settings": settings} | changes),
    )
    (root / "dvc.yaml").write_text(render_stages("micro", [job], ""))
    (root / "dvc-params.json").write_text(render_params("micro", [job], ""))
    return job


@pytest.fixture
def root(tmp_path: Path) -> Path:
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    write(tmp_path)
    dvc(tmp_path, "repro", "--quiet")
    return tmp_path


def test_lock_holds_the_two_hashes_and_no_settings(root: Path) -> None:
    stage = yaml.safe_load((root / "dvc.lock").read_text())["stages"][NAME]
    (held,) = stage["params"].values()
    assert set(held) == {f"{NAME}.code", f"{NAME}.settings_sha256"}
    assert '"rate"' not in (root / "dvc.lock").read_text() + (root / "dvc.yaml").read_text()
    assert (root / "out").read_text() == f"--settings dvc-params.json:{NAME}\n"
    assert "up to date" in dvc(root, "status")


@pytest.mark.parametrize(
    ("changes", "key"), [({"code": "other"}, "code"), ({"settings": '{"rate":2e-05}'}, "settings_sha256")]
)
def test_changed_hash_is_seen_and_runs_the_stage(root: Path, changes: dict[str, str], key: str) -> None:
    write(root, **changes)
    said = dvc(root, "status")
    assert [line.split()[-1] for line in said.splitlines() if "modified" in line] == [f"{NAME}.{key}"]
    assert "changed command" not in said
    assert f"Running stage '{NAME}'" in dvc(root, "repro")
    assert "up to date" in dvc(root, "status")
    write(root, **changes)
    assert "didn't change, skipping" in dvc(root, "repro")


def test_stage_of_another_form_of_another_config_is_left_and_works(root: Path) -> None:
    """As an older ParGo-Repro wrote it: the whole settings as one key."""
    older = "quick-old"
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    stages[older] = {"cmd": "echo x > old", "params": [{"dvc-params.json": [older]}], "outs": ["old"]}
    job = make_job(
        wildcards={"arm": "pargo", "seed": "0", "benchmark": "mini_mme"}, inputs=(), outputs=("out",), code="other"
    )
    params = f'{{"{older}": {{"rate": 0.1}}}}'
    (root / "dvc.yaml").write_text(render_stages("micro", [job], yaml.safe_dump({"stages": stages})))
    (root / "dvc-params.json").write_text(render_params("micro", [job], params))
    dvc(root, "repro", "--quiet", older)
    assert yaml.safe_load((root / "dvc.lock").read_text())["stages"][older]["params"] == {
        "dvc-params.json": {older: {"rate": 0.1}}
    }
