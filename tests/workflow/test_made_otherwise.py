"""Artifacts changed by hand are made again and not recorded; a run ends where it is told, and reads its config once."""

import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pargo.config.base import canonical_json
from pargo.files import sha256_text
from pargo.layout import Layout
from tests.helpers.workflow_project import Project


@pytest.fixture
def layout(project: Project) -> Layout:
    return Layout("micro", project.root)


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


def test_what_was_made_otherwise_and_came_out_the_same_is_told(project: Project, layout: Layout) -> None:
    """Every caption has six words and more: the limit changes none, but the tables say how they were made."""
    captions, tables = layout.captions("scenes"), layout.tables / "cells.json"
    before = tables.read_bytes()
    done = project.pargo("reproduce", "--config", project.variant("six_words", quality__min_words=6))
    assert re.findall(r"done +(.*?)  ", done.stderr) == ["filter dataset scenes", "report tables", "report page"]
    settings = json.loads((captions / "provenance.json").read_text())["settings"]
    assert settings["quality"]["min_words"] == 6
    node = json.loads(tables.read_text())["artifacts"]["artifacts/micro/captions/scenes.manifest.json"]
    assert node["settings"] == sha256_text(canonical_json(settings))
    project.reproduce()
    assert tables.read_bytes() == before
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("until", "last", "not_run"),
    [("fingerprint", "fingerprint", "select"), ("select", "select", "caption"), ("pretrain", "pretrain", "finetune")],
)
def test_until_ends_at_that_stage(project: Project, until: str, last: str, not_run: str) -> None:
    variant = project.variant("until", name="until")
    try:
        done = project.pargo("reproduce", "--config", variant, "--until", until)
        assert re.search(rf"(done|restored) +{last} ", done.stderr)  # of another name only: nothing is made twice
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
