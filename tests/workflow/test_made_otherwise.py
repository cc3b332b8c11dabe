"""What times and Snakemake's own records do not tell: artifacts changed by hand, and copies whose records are gone."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pargo.layout import Layout
from tests.helpers.workflow_project import Project

TRAINED = {"pretrain", "finetune", "evaluate", "score"}


@pytest.fixture
def layout(project: Project) -> Layout:
    return Layout("micro", project.root)


def stages(project: Project, config: str = "config/micro.yaml") -> set[str]:
    return {name.partition("-")[0] for name in project.pending(config)}


@contextmanager
def without_snakemakes_records(project: Project) -> Iterator[None]:
    """As after `make clean`, or in a clone that got its artifacts by copying."""
    records, aside = project.root / ".snakemake", project.root / "snakemake-records"
    records.rename(aside)
    try:
        yield
    finally:
        shutil.rmtree(records, ignore_errors=True)
        aside.rename(records)


def test_without_snakemakes_records_nothing_runs(project: Project) -> None:
    with without_snakemakes_records(project):
        assert not project.pending()


def test_settings_changed_where_the_records_are_gone(project: Project) -> None:
    with without_snakemakes_records(project):
        assert "download-scenes" in project.pending(project.variant("reseeded", sources__scenes__seed=7))
        variant = project.variant("wider", projectors__qformer__hidden_size=48)
        pending = project.pending(variant)
        assert {name for name in pending if name.startswith("pretrain")} == {"pretrain-qformer-seed-0"}
        refused = project.pargo("versions", "record", "--config", variant, check=False)
        assert refused.returncode == 1
        assert "pretrain-qformer-seed-0 (made with other settings: projector.hidden_size: 32, now 48)" in refused.stderr


def test_code_in_another_version_with_an_older_time(project: Project) -> None:
    file = project.root / "pargo/train/loop.py"
    with project.edited("pargo/train/loop.py"):
        os.utime(file, (1e9, 1e9))
        assert stages(project) >= TRAINED
    assert not project.pending()


def test_a_deleted_manifest_is_made_again(project: Project, layout: Layout) -> None:
    manifest = layout.captions("scenes").with_name("scenes.manifest.json")
    before = manifest.read_bytes()
    manifest.unlink()
    try:
        assert "filter-scenes" in project.pending()
    finally:
        manifest.write_bytes(before)
    assert not project.pending()


def test_a_truncated_model_is_trained_again_and_nothing_else(project: Project, layout: Layout) -> None:
    weights = layout.model("qformer", 0, "finetune") / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    done = project.reproduce()
    assert re.findall(r"done +(.*?)  ", done.stderr) == ["finetune arm qformer, seed 0"]
    assert weights.read_bytes() == whole
    assert project.git("status", "--porcelain") == ""


def test_a_file_of_equal_size_edited_by_hand_is_not_recorded_but_made_again(project: Project, layout: Layout) -> None:
    captions = layout.captions("scenes") / "captions.jsonl"
    before = captions.read_bytes()
    captions.write_bytes(before.replace(b"a", b"e", 1))
    lock = (project.root / "dvc.lock").read_bytes()
    try:
        done = project.pargo("versions", "record", "--config", "config/micro.yaml", check=False)
        assert done.returncode == 1
        assert "artifacts/micro/captions/scenes is not as it was made: captions.jsonl: changed" in done.stderr
        assert (project.root / "dvc.lock").read_bytes() == lock
        done = project.reproduce()
        assert re.findall(r"done +(.*?)  ", done.stderr) == ["filter dataset scenes"]
        assert captions.read_bytes() == before
    finally:
        captions.write_bytes(before)
    assert "everything was up to date" in project.reproduce().stderr
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("until", "last", "not_run"),
    [("fingerprint", "fingerprint", "select"), ("select", "select", "caption"), ("pretrain", "pretrain", "finetune")],
)
def test_until_ends_at_that_stage(project: Project, until: str, last: str, not_run: str) -> None:
    variant = project.variant("until", name="until")
    try:
        done = project.pargo("reproduce", "--config", variant, "--until", until)
        assert re.search(rf"(done|kept) +{last} ", done.stderr)  # of another name only: nothing is made twice
        assert f"start  {not_run}" not in done.stderr
        assert f"stopped after {until}" in done.stderr
    finally:
        for top in ("artifacts", "runs"):
            shutil.rmtree(project.root / top / "until", ignore_errors=True)


def test_a_config_edited_during_a_run_is_the_next_runs(project: Project) -> None:
    variant, snapshot = project.variant("edited", name="edited"), project.root / "runs/edited/config.yaml"
    before = Path(variant).read_bytes()
    try:
        with ThreadPoolExecutor() as threads:
            run = threads.submit(project.pargo, "reproduce", "--config", variant, "--until", "select", check=False)
            while not snapshot.exists() and not run.done():
                time.sleep(0.01)
            Path(variant).write_text("name: [")
        assert run.result().returncode == 0, run.result().stderr
        assert snapshot.read_bytes() == before
        assert (project.root / "artifacts/edited/selection/scenes").exists()
    finally:
        for top in ("artifacts", "runs"):
            shutil.rmtree(project.root / top / "edited", ignore_errors=True)


def test_two_records_at_once_give_the_record_of_one(project: Project) -> None:
    files = [project.root / name for name in ("dvc.yaml", "dvc.lock", "dvc-params.json")]
    before = [file.read_bytes() for file in files]
    try:
        for file in files:
            file.unlink()
        with ThreadPoolExecutor() as threads:
            command = ("versions", "record", "--config", "config/micro.yaml")
            runs = [threads.submit(project.pargo, *command, check=False) for _ in range(2)]
        for run in runs:
            assert run.result().returncode == 0, run.result().stderr
        status = project.pargo("versions", "status", "--config", "config/micro.yaml")
        assert status.stdout.strip() == "up to date"
    finally:
        for file, text in zip(files, before, strict=True):
            file.write_bytes(text)
