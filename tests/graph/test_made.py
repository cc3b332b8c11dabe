"""An artifact that is not what its job would make now is told by its own provenance and its files' sizes."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pargo.code import code_hash, import_closure
from pargo.layout import manifest_path
from pargo.made import Spec, as_record, other_versions, reason_to_remake, write_record
from pargo.manifest import PROVENANCE, RUN_RECORD, publish

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
    return reason_to_remake(artifact, spec(artifact, SETTINGS | changes))


def spec(artifact: Path, settings: dict[str, Any], code: str = "", **chosen: Any) -> Spec:
    files = tuple(path.as_posix() for path in CODE)
    source = artifact.with_name("source")
    return Spec("finetune", settings, code or code_hash(CODE), (source,), code_files=files, **chosen)


def test_what_its_job_would_make_again_has_no_reason(artifact: Path) -> None:
    assert reason(artifact) == ""
    (artifact / RUN_RECORD).unlink()  # differs from run to run
    assert reason(artifact) == ""


def test_settings_are_named_with_both_values(artifact: Path) -> None:
    assert reason(artifact, seed=1) == "made with other settings: seed: 0, now 1"
    text = reason(artifact, train={"num_samples": 32, "learning_rate": 0.001, "warmup": 0.5})
    assert text == "made with other settings: train.num_samples: 16, now 32, train.warmup: null, now 0.5"


def test_other_code(artifact: Path) -> None:
    assert reason_to_remake(artifact, spec(artifact, SETTINGS, "another")) == "made by other code"


def test_code_that_changed_is_named_where_the_run_record_tells(artifact: Path) -> None:
    record = json.loads((artifact / RUN_RECORD).read_text())
    record["code"] = dict.fromkeys(record["code"], "another mean")
    (artifact / RUN_RECORD).write_text(json.dumps(record))
    told = reason_to_remake(artifact, spec(artifact, SETTINGS, "another"))
    assert told == f"made by other code: {', '.join(path.as_posix() for path in CODE)}"


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
    return "sub/weights: missing"


def file_truncated(artifact: Path) -> str:
    (artifact / "sub" / "weights").write_text("weig")
    return "sub/weights: changed (4 bytes and not 7)"


def file_edited(artifact: Path) -> str:
    file = artifact / "sub" / "weights"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_text("heights")
    os.utime(file, ns=times)  # as `cp -p` and `rsync -t` do
    return "sub/weights: changed"


def file_added(artifact: Path) -> str:
    (artifact / "sub" / "more").write_text("")
    return "sub/more: not in the manifest"


def input_made_anew(artifact: Path) -> str:
    source = artifact.with_name("source")
    with publish(source, settings=SETTINGS, code=CODE) as folder:
        (folder / "weights").write_text("others")
    return "an input changed"


@pytest.mark.parametrize(
    "damage",
    [
        manifest_gone,
        provenance_gone,
        provenance_torn,
        file_gone,
        file_truncated,
        file_edited,
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


def test_a_new_field_that_nobody_chose_is_no_reason(artifact: Path) -> None:
    now = SETTINGS | {"new": 1, "train": SETTINGS["train"] | {"warmup": 0.5}}
    assert reason_to_remake(artifact, spec(artifact, now, chosen=SETTINGS)) == ""
    chosen = SETTINGS | {"train": SETTINGS["train"] | {"warmup": 0.5}}
    text = reason_to_remake(artifact, spec(artifact, now, chosen=chosen))
    assert text == "made with other settings: train.warmup: null, now 0.5"
    changed = now | {"seed": 5}  # a default that changed
    assert "seed: 0, now 5" in reason_to_remake(artifact, spec(artifact, changed, chosen={}))


def test_a_file_of_the_report_has_its_record_beside_it(tmp_path: Path) -> None:
    score, made = tmp_path / "score.json", Spec("score", SETTINGS, "c0de", ())
    assert "is not here" in reason_to_remake(score, made, [score])
    score.write_text("1")
    assert "score.json.made is missing or broken" in reason_to_remake(score, made, [score])
    write_record(score, as_record(made))
    assert reason_to_remake(score, made, [score]) == ""
    assert reason_to_remake(score, Spec("score", SETTINGS, "other", ()), [score]) == "made by other code"
    score.write_text("2")
    assert "score.json: changed" in reason_to_remake(score, made, [score])


def test_other_versions_of_packages_are_told_and_count_where_the_config_is_strict(artifact: Path) -> None:
    record = json.loads((artifact / RUN_RECORD).read_text())
    now = record["versions"]["torch"]
    record["versions"] |= {"torch": "0.1", "snakemake": "0.1"}  # the second computes nothing
    (artifact / RUN_RECORD).write_text(json.dumps(record))
    assert other_versions(artifact) == [f"torch 0.1, now {now}"]
    assert reason(artifact) == ""
    strict = replace(spec(artifact, SETTINGS), strict=True)
    assert reason_to_remake(artifact, strict) == f"computed with torch 0.1, now {now}"
