"""Contract with DVC: it finds the keys in dvc-params.json as the stages name them, and reruns what changed."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from pargo.graph.dvc_stages import render_params, render_stages
from tests.helpers.dvc_jobs import make_job

NAME = "micro-score-pargo-seed-0-mini_mme"  # hyphens and an underscore


def files(root: Path, *, stages: str = "", params: str = "", **changes: str) -> None:
    """The files of one job that writes its command's options into a file, beside those of other configs."""
    settings = changes.get("settings", '{"rate":1e-05}')
    job = make_job(
        wildcards={"arm": "pargo", "seed": "0", "benchmark": "mini_mme"},
        paths=(),
        output=Path("out"),
        files=(Path("out"),),
        command=f"echo --settings '{settings}' > out",
        **({"settings": settings} | changes),
    )
    (root / "dvc.yaml").write_text(render_stages("micro", [job], stages))
    (root / "dvc-params.json").write_text(render_params("micro", [job], params))


def reproduce(root: Path) -> list[str]:
    """Names of the stages that `dvc repro` runs."""
    with Repo(root) as repo:
        return [stage.name for stage in repo.reproduce()]


def status(root: Path) -> dict[str, Any]:
    """What `dvc status` says, by stage."""
    with Repo(root) as repo:
        return repo.status()


def recorded(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "dvc.lock").read_text())["stages"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC repository with the finished run, in which DVC is called."""
    monkeypatch.chdir(tmp_path)
    Repo.init(tmp_path, no_scm=True).close()
    files(tmp_path)
    reproduce(tmp_path)
    return tmp_path


def test_lock_holds_the_two_hashes_and_no_settings(root: Path) -> None:
    (held,) = recorded(root)[NAME]["params"].values()
    assert set(held) == {f"{NAME}.code", f"{NAME}.settings_sha256"}
    assert '"rate"' not in (root / "dvc.lock").read_text() + (root / "dvc.yaml").read_text()
    assert (root / "out").read_text() == f"--settings dvc-params.json:{NAME}\n"
    assert status(root) == {}


@pytest.mark.parametrize(
    ("changes", "key"), [({"code": "other"}, "code"), ({"settings": '{"rate":2e-05}'}, "settings_sha256")]
)
def test_changed_hash_is_seen_and_runs_the_stage(root: Path, changes: dict[str, str], key: str) -> None:
    files(root, **changes)
    assert status(root) == {NAME: [{"changed deps": {"dvc-params.json": {f"{NAME}.{key}": "modified"}}}]}
    assert reproduce(root) == [NAME]
    assert status(root) == {}
    files(root, **changes)
    assert reproduce(root) == []


def test_older_form_of_another_config_stays_and_works(root: Path) -> None:
    """An older ParGo-Repro had the whole settings as one key."""
    stage = {"cmd": "echo x > old", "params": [{"dvc-params.json": ["quick-old"]}], "outs": ["old"]}
    older = {"stages": yaml.safe_dump({"stages": {"quick-old": stage}}), "params": '{"quick-old": {"rate": 0.1}}'}
    files(root, **older)
    assert reproduce(root) == ["quick-old"]
    assert recorded(root)["quick-old"]["params"] == {"dvc-params.json": {"quick-old": {"rate": 0.1}}}
    files(root, **older, code="other")
    assert set(status(root)) == {NAME}
