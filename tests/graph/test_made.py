"""An artifact that is not what its job would make now is told by its own provenance and its files' sizes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pargo.code import import_closure
from pargo.graph.made import reason_to_remake
from pargo.layout import manifest_path
from pargo.manifest import PROVENANCE, RUN_RECORD, code_hash, publish

CODE = import_closure("pargo.units")
SETTINGS = {"train": {"num_samples": 16, "learning_rate": 0.001}, "seed": 0}


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    for name, inputs in (("source", []), ("model", [tmp_path / "source"])):
        with publish(tmp_path / name, settings=SETTINGS, inputs=inputs, code=CODE) as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / "weights").write_text("weights")
    return tmp_path / "model"


def reason(artifact: Path, **changes: object) -> str:
    return reason_to_remake(artifact, json.dumps(SETTINGS | changes), code_hash(CODE))


def test_what_its_job_would_make_again_has_no_reason(artifact: Path) -> None:
    assert reason(artifact) == ""
    (artifact / RUN_RECORD).unlink()  # differs from run to run
    assert reason(artifact) == ""


def test_settings_are_named_with_both_values(artifact: Path) -> None:
    assert reason(artifact, seed=1) == "made with other settings: seed: 0, now 1"
    text = reason(artifact, train={"num_samples": 32, "learning_rate": 0.001, "packing": True})
    assert text == "made with other settings: train.num_samples: 16, now 32, train.packing: null, now true"


def test_other_code(artifact: Path) -> None:
    assert reason_to_remake(artifact, json.dumps(SETTINGS), "another") == "made by other code"


def manifest_gone(artifact: Path) -> str:
    manifest_path(artifact).unlink()
    return "model.manifest.json is missing"


def provenance_gone(artifact: Path) -> str:
    (artifact / PROVENANCE).unlink()
    return "provenance.json is missing or broken"


def provenance_torn(artifact: Path) -> str:
    text = (artifact / PROVENANCE).read_text()
    (artifact / PROVENANCE).write_text(text[: len(text) // 2])
    return "provenance.json is missing or broken"


def file_gone(artifact: Path) -> str:
    (artifact / "sub" / "weights").unlink()
    return "sub/weights is missing"


def file_truncated(artifact: Path) -> str:
    (artifact / "sub" / "weights").write_text("weig")
    return "sub/weights has 4 bytes and not 7"


def file_added(artifact: Path) -> str:
    (artifact / "sub" / "more").write_text("")
    return "sub/more is not in the manifest"


def input_made_anew(artifact: Path) -> str:
    source = artifact.with_name("source")
    with publish(source, settings=SETTINGS, code=CODE) as folder:
        (folder / "weights").write_text("others")
    return "made from another"


@pytest.mark.parametrize(
    "damage",
    [
        manifest_gone,
        provenance_gone,
        provenance_torn,
        file_gone,
        file_truncated,
        file_added,
        input_made_anew,
    ],
)
def test_damage_is_named(artifact: Path, damage: Callable[[Path], str]) -> None:
    said = damage(artifact)
    assert said in reason(artifact)


def test_an_input_made_anew_with_the_same_content_is_no_reason(artifact: Path) -> None:
    with publish(artifact.with_name("source"), settings={"other": "settings"}) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "weights").write_text("weights")
    assert reason(artifact) == ""
