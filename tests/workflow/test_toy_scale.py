"""What only toy scale has, through the whole graph: warm-up, whitened features, alignment, captions scored by facts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.helpers.workflow_project import Project

ARM = "artifacts/toy/models/pargo/seed-0"


@pytest.fixture(scope="module")
def toy(project: Project) -> tuple[Project, str]:
    """The finished micro project, and a config that shares its sources and features; its first stages are made."""
    path = Path(
        project.variant(
            "toy",
            name="toy",
            vision__whiten=True,
            language__layers=[1],
            language__warm_up={"mixture": {"scenes": 1.0}, "num_samples": 32, "batch_size": 4, "num_threads": 1},
            base__pretrain__alignment={"num_samples": 16},
            sources__held_out={"kind": "scenes", "num_images": 6, "image_size": 64, "seed": 5},
            benchmarks__details={"kind": "details", "source": "held_out", "split": "train"},
        )
    )
    data = yaml.safe_load(path.read_text())
    data["arms"] = {"pargo": {}, "qformer": {"projector": "qformer"}}
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    done = project.pargo("reproduce", "--config", str(path))
    assert "restored features source scenes, split train" in done.stderr
    return project, str(path)


def read(project: Project, path: str) -> dict:
    return json.loads((project.root / path).read_text())


def test_all_trainings_start_from_the_one_warm_up(toy):
    project, _ = toy
    warmed = project.root / "artifacts/toy/language/language_model"
    assert read(project, "artifacts/toy/language/language_model/config.json")["num_hidden_layers"] == 1
    for model in ("pretrain", "finetune"):
        for arm in ("pargo", "qformer"):
            made = read(project, f"artifacts/toy/models/{arm}/seed-0/{model}/provenance.json")
            assert f"{warmed.relative_to(project.root)}.manifest.json" in made["inputs"]
            assert "artifacts/toy/sources/language_model.manifest.json" not in made["inputs"]


def test_the_page_says_what_the_language_model_is(toy):
    project, _ = toy
    page = (project.root / "reports/toy/index.html").read_text()
    assert "language_model (cut to its layers 1, warmed up on text)" in page


def test_a_second_run_has_nothing_to_do_and_a_longer_warm_up_makes_models_anew(toy):
    project, path = toy
    assert project.pending(path) == set()
    text = Path(path).read_text()
    Path(path).write_text(text.replace("num_samples: 32", "num_samples: 36"))
    try:
        would = project.pending(path)
    finally:
        Path(path).write_text(text)
    assert {name.partition("-")[0] for name in would} >= {"warm_up", "pretrain", "finetune", "evaluate"}
    assert not {name for name in would if name.startswith(("features", "download", "caption"))}


def test_whitening_is_saved_with_the_projector_and_an_export_answers_as_the_run(toy, tmp_path):
    project, _ = toy
    out = tmp_path / "exported"
    done = project.pargo("export", f"{ARM}/finetune", str(out), "--dtype", "float32")
    assert re.search(r"asked again: ([1-9]\d*) of \1 answers are those of the run", done.stdout)
    config = json.loads((out / "config.json").read_text())
    assert config["vision_config"]["whiten"] is True
    assert config["text_config"]["num_hidden_layers"] == 1
