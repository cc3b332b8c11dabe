"""A chain is followed by hash: a file that changed since is found out."""

from __future__ import annotations

import shutil

import pytest

from pargo.errors import PargoError
from pargo.layout import Layout, manifest_path
from pargo.report.provenance import follow


@pytest.fixture
def copy(project, tmp_path, monkeypatch):
    """A copy of the run that may be damaged."""
    for folder in ("artifacts", "reports"):
        shutil.copytree(folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return project


def test_nearest_first_and_each_once(project):
    chain = follow(project.layout.score("pargo", 0, "mini_mme"))
    names = [node.directory for node in chain.nodes]
    assert names[0] == project.layout.predictions("pargo", 0, "mini_mme")
    assert len(names) == len(set(names))
    assert names.index(project.layout.model("pargo", 0, "finetune")) < names.index(
        project.layout.model("pargo", 0, "pretrain")
    )


def test_finds_the_model_that_answered_and_the_source(project):
    chain = follow(project.layout.score("mlp", 0, "easy_vqa"))
    assert chain.model("model.safetensors", 0).directory == project.layout.model("mlp", 0, "finetune")
    assert chain.source().directory == project.layout.source("easy_vqa")


def test_a_model_trained_anew_is_found_out(copy):
    path = manifest_path(copy.layout.model("pargo", 0, "finetune"))
    path.write_text(path.read_text() + "\n")
    with pytest.raises(PargoError, match=r"finetune\.manifest\.json with sha256 .*, which now has .*: run it again"):
        follow(copy.layout.score("pargo", 0, "mini_mme"))


def test_a_missing_manifest_is_named(copy):
    manifest_path(copy.layout.source("mini_mme")).unlink()
    with pytest.raises(PargoError, match=r"mini_mme\.manifest\.json .* does not exist"):
        follow(copy.layout.score("pargo", 0, "mini_mme"))


def test_a_missing_provenance_is_named(copy):
    (copy.layout.predictions("pargo", 0, "mini_mme") / "provenance.json").unlink()
    with pytest.raises(PargoError, match=r"provenance\.json does not exist"):
        follow(copy.layout.score("pargo", 0, "mini_mme"))


def restore_from_another_config(copy):
    """As after a restore: the files of this config are another's, and name that one's manifests."""
    other = copy.layout.artifacts.with_name("other")
    for record in copy.layout.artifacts.rglob("provenance.json"):
        record.write_text(record.read_text().replace("artifacts/synthetic/", "artifacts/other/"))
    shutil.copytree(copy.layout.artifacts, other)
    return other


def test_what_was_restored_from_another_config_is_followed_in_its_own_places(copy):
    score = copy.layout.score("pargo", 0, "mini_mme")
    before = follow(score)
    other = restore_from_another_config(copy)
    for manifest in other.rglob("*.manifest.json"):  # that config has gone on
        manifest.write_text(manifest.read_text() + "\n")
    assert follow(score) == before
    shutil.rmtree(other)
    assert follow(score) == before


def test_what_was_restored_from_another_arm_is_followed_in_its_own_places(copy):
    score = copy.layout.score("pargo", 0, "mini_mme")
    names = [node.sha256 for node in follow(score).nodes]
    for kind in ("models", "predictions"):
        (copy.layout.artifacts / kind / "pargo").rename(copy.layout.artifacts / kind / "renamed")
    score.write_text(score.read_text().replace("predictions/pargo/", "predictions/renamed/"))
    assert [node.sha256 for node in follow(score).nodes] == names


def test_a_source_with_another_name_is_followed_in_its_own_place(copy):
    """Renamed in the config and restored: the answers and the source itself have the old name in their records."""
    score = copy.layout.score("pargo", 0, "mini_mme")
    names = [node.sha256 for node in follow(score).nodes]
    old, new = copy.layout.source("mini_mme"), copy.layout.source("renamed")
    old.rename(new)
    manifest_path(old).rename(manifest_path(new))
    chain = follow(score)
    assert [node.sha256 for node in chain.nodes] == names
    assert chain.source().directory == new


def test_an_input_that_nobody_has_any_more_is_named_in_its_own_place(copy):
    restore_from_another_config(copy)
    for config in ("synthetic", "other"):
        path = manifest_path(Layout(config).model("pargo", 0, "pretrain"))
        path.write_text(path.read_text() + "\n")
    with pytest.raises(PargoError, match=r"made from artifacts/synthetic/.*pretrain\.manifest\.json .* now has"):
        follow(copy.layout.score("pargo", 0, "mini_mme"))


def test_no_chain_depends_on_what_is_not_versioned(copy):
    before = follow(copy.layout.score("pargo", 0, "mini_mme"))
    for record in copy.layout.artifacts.rglob("run.json"):
        record.unlink()
    assert follow(copy.layout.score("pargo", 0, "mini_mme")) == before
