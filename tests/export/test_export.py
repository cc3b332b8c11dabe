"""`pargo export`: the copy answers as the run did, its card leads back to files, and nothing half-written stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from pargo.benchmarks.records import PREDICTIONS, Prediction, write_predictions
from pargo.benchmarks.scores.score import GRADES, ScoreSettings
from pargo.benchmarks.scores.score import run as run_score
from pargo.config.benchmarks.mmvet import MMVet
from pargo.errors import PargoError
from pargo.export.card import rows_of
from pargo.export.load import load_exported
from pargo.export.run import export
from pargo.export.serve import serve
from pargo.export.settings import read_model_settings
from pargo.files import sha256_file
from pargo.layout import Layout, manifest_path
from pargo.manifest import publish


def test_the_copy_answers_all_questions_as_the_run_did(inside, tmp_path):
    agreement = export(inside.model, tmp_path / "out", dtype=torch.float32, compare=1000)
    asked = sum(
        len(inside.layout.predictions("pargo", 0, name).joinpath("predictions.jsonl").read_text().splitlines())
        for name in inside.config.benchmarks
    )
    assert agreement == (asked, asked)
    answers = inside.layout.predictions("pargo", 0, "mini_mme").joinpath("predictions.jsonl").read_text().splitlines()
    assert len({json.loads(line)["answer"] for line in answers}) > 3  # they are not all the same


def test_files_are_safetensors_in_shards_and_json(inside, tmp_path):
    export(inside.model, tmp_path / "out", compare=0, shard_size="200KB")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert sum(name.endswith(".safetensors") for name in names) > 1
    assert {"config.json", "generation_config.json", "model.safetensors.index.json", "README.md"} <= set(names)
    assert {"processor_config.json", "tokenizer.json", "chat_template.jinja", "provenance.json"} <= set(names)
    assert not [name for name in names if name.endswith((".bin", ".pt", ".py", ".pkl"))]
    model, _ = load_exported(tmp_path / "out")
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16
    assert model.projector.output.weight.dtype == torch.float32
    assert not [name for name, _ in model.named_parameters() if "lora" in name]


def test_adapters_are_in_the_weights(inside):
    settings = read_model_settings(inside.model)
    weights = load_file(inside.model / "model.safetensors")
    base = load_file(inside.layout.source("language_model") / "model.safetensors")
    merged = load_file(inside.root / "exported" / "model.safetensors")
    name = "model.layers.1.self_attn.q_proj"
    a, b = (weights[f"language_model.{name}.lora_{side}.default.weight"] for side in "AB")
    expected = base[f"{name}.weight"] + settings.lora.alpha / settings.lora.rank * (b @ a)
    torch.testing.assert_close(merged[f"language_model.{name}.weight"], expected)


def test_the_card_leads_to_the_files(inside):
    exported = inside.root / "exported"
    card = ModelCard.load(exported / "README.md")
    assert card.data.pipeline_tag == "image-text-to-text"
    assert card.data.library_name == "transformers"
    record = json.loads((exported / "provenance.json").read_text())
    assert record["files"][manifest_path(inside.model).as_posix()] == sha256_file(manifest_path(inside.model))
    for name, digest in record["files"].items():
        assert sha256_file(Path(name)) == digest
        assert f"| `{name}` | `{digest}` |" in card.text
    score = json.loads(inside.layout.score("pargo", 0, "mini_mme").read_text())
    headline = next(row for row in record["numbers"] if row["file"].endswith("/mini_mme.json"))
    assert headline["value"] == f"{score['headline']['value']:.1f}"
    assert headline["images"] == score["headline"]["num_images"]
    row = [headline[key] for key in ("benchmark", "measure", "value", "interval", "images")]
    assert f"| {' | '.join(map(str, row))} | `{headline['file']}` |" in card.text
    metrics = {result.metric_value for result in card.data.eval_results}
    assert score["headline"]["value"] == pytest.approx(metrics.pop(), abs=0.05)
    assert str(inside.root) not in card.text
    agreement = record["agreement"]
    assert f"Asked {agreement['asked']}" in card.text


def test_scores_of_other_weights_are_not_on_the_card(inside, tmp_path):
    # the arm was trained again, and not evaluated yet
    other = tmp_path / "artifacts/micro/models/pargo/seed-0/finetune"
    other.parent.mkdir(parents=True)
    other.symlink_to(inside.root / inside.model)
    manifest_path(other).write_bytes(manifest_path(inside.model).read_bytes() + b"\n")
    (tmp_path / "reports").symlink_to(inside.root / "reports")
    (tmp_path / "artifacts/micro/sources").symlink_to(inside.root / "artifacts/micro/sources")
    (tmp_path / "artifacts/micro/predictions").symlink_to(inside.root / "artifacts/micro/predictions")
    assert export(other, tmp_path / "out") is None  # nor are its answers compared
    assert json.loads((tmp_path / "out/provenance.json").read_text())["numbers"] == []
    assert "None: no scores of this model were found." in (tmp_path / "out/README.md").read_text()


def test_benchmarks_of_one_kind_have_names_of_their_own(inside):
    score = inside.layout.score("pargo", 0, "mini_mme")
    other = score.with_name("mini_mme_asked_otherwise.json")
    other.write_bytes(score.read_bytes())
    try:
        names = {row.benchmark for row in rows_of(inside.model) if row.file in (score.as_posix(), other.as_posix())}
    finally:
        other.unlink()
    assert names == {"mini-MME", "mini-MME (Mini mme asked otherwise)"}


def _answers_and_scores(project, name: str, graded: bool) -> None:
    """MM-Vet's answers of the model, made up, and their score by the stage, with a judge's grades or without."""
    benchmark = MMVet(kind="mmvet", source=name)
    fields = {"task": "ocr", "question": "What?", "label": "a", "prompt": "What?", "parsed": "a", "answer": "a"}
    predictions = [
        Prediction(**fields, id=f"v1_{n}", image=f"{n}.png", image_sha256="0" * 64, details={"capability": "ocr"})
        for n in range(4)
    ]
    answers = project.layout.predictions("pargo", 0, name)
    with publish(answers, settings={"benchmark": benchmark}, inputs=[project.model]) as folder:
        write_predictions(folder / PREDICTIONS, predictions)
    grades = None
    if graded:
        grades = Path("grades")
        with publish(grades, settings={}, inputs=[answers]) as folder:
            marks = {item.id: {"model": ["a judge"], "score": [0.25], "answer": item.answer} for item in predictions}
            (folder / GRADES).write_text(json.dumps(marks))
    settings = ScoreSettings(benchmark=benchmark, bootstrap_samples=20)
    run_score(settings, answers, project.layout.score("pargo", 0, name), grades)


@pytest.mark.parametrize("other", [False, True], ids=["beside other benchmarks", "and graded answers"])
def test_a_benchmark_that_is_not_graded_is_on_the_card_as_such(inside, tmp_path, monkeypatch, other):
    for part in ("artifacts", "reports"):
        shutil.copytree(inside.root / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    _answers_and_scores(inside, "mmvet", graded=False)
    if other:
        _answers_and_scores(inside, "mmvet_judged", graded=True)
    export(inside.model, tmp_path / "out", dtype=torch.float32, compare=0)
    card = ModelCard.load(tmp_path / "out" / "README.md")
    file = inside.layout.score("pargo", 0, "mmvet").as_posix()
    assert f"| MM-Vet | score | not graded |  | 4 | `{file}` |" in card.text
    results = {result.dataset_name: result.metric_value for result in card.data.eval_results}
    assert "MM-Vet" not in results
    assert ("MM-Vet (Mmvet judged)" in results) == other
    assert "mini-MME" in results
    numbers = json.loads((tmp_path / "out/provenance.json").read_text())["numbers"]
    assert [row["value"] for row in numbers if row["file"] == file] == ["not graded"]
    (limits,) = [line for line in card.text.splitlines() if "was not measured." in line]
    assert "mini-MME" in limits
    assert "MM-Vet " not in limits.replace("MM-Vet (", "")
    if other:
        assert results["MM-Vet (Mmvet judged)"] == 25.0


def test_a_model_of_which_nothing_is_graded_is_exported(inside, tmp_path, monkeypatch):
    for part in ("artifacts", "reports"):
        shutil.copytree(inside.root / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    for path in inside.layout.score("pargo", 0, "any").parent.glob("*.json"):
        path.unlink()
    _answers_and_scores(inside, "mmvet", graded=False)
    export(inside.model, tmp_path / "out", dtype=torch.float32, compare=0)
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert "| MM-Vet | score | not graded |" in card.text
    assert card.data.eval_results is None
    assert "Nothing was measured." in card.text


def test_refusals_leave_nothing(inside, tmp_path):
    with pytest.raises(PargoError, match="exists already"):
        export(inside.model, inside.root / "exported")
    with pytest.raises(PargoError, match=r"config\.json does not exist"):
        export(tmp_path, tmp_path / "out")
    moved = tmp_path / "model"
    moved.mkdir()
    for path in (inside.root / inside.model).iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    with pytest.raises(PargoError, match="say with --language where 'language_model' is"):
        export(moved, tmp_path / "out")
    places = {"language": inside.layout.source("language_model"), "vision": inside.layout.source("vision_tower")}
    state = load_file(moved / "model.safetensors")
    del state["projector.output.bias"]
    save_file(state, moved / "model.safetensors")
    with pytest.raises(ValueError, match=r"missing: projector\.output\.bias"):
        export(moved, tmp_path / "out", **places)
    pretrained = json.loads((moved / "config.json").read_text())
    del pretrained["train"]["lora"]
    (moved / "config.json").write_text(json.dumps(pretrained))
    with pytest.raises(PargoError, match="not that of a fine-tuned model"):
        export(moved, tmp_path / "out", **places)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_a_model_that_changed_since_is_refused(inside, tmp_path):
    moved = tmp_path / "finetune"
    moved.mkdir()
    for path in (inside.root / inside.model).iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    manifest_path(moved).write_bytes(manifest_path(inside.model).read_bytes())
    with (moved / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(PargoError, match=r"differs from .*: model\.safetensors: changed"):
        export(moved, tmp_path / "out")


def test_an_incomplete_export_is_not_loaded(inside, tmp_path):
    with pytest.raises(PargoError, match="holds no exported model"):
        load_exported(tmp_path)
    for path in (inside.root / "exported").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    del state["projector.output.bias"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"do not fit the model: missing: projector\.output\.bias"):
        load_exported(tmp_path)
    # not by transformers' own way in either: it would only warn, and go on with what memory holds
    with pytest.raises(ValueError, match=r"missing: projector\.output\.bias"):
        AutoModelForImageTextToText.from_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ValueError, match="holds no exported model"):
        load_exported(tmp_path)


def test_an_export_of_an_earlier_version_is_not_loaded(inside, tmp_path):
    """Its template does not mark pieces, so a question might get other ids than in training."""
    shutil.copytree(inside.root / "exported", tmp_path / "old")
    (tmp_path / "old/chat_template.jinja").write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    with pytest.raises(PargoError, match="export it again"):
        load_exported(tmp_path / "old")
    with pytest.raises(PargoError, match="export it again"):
        serve(tmp_path / "old")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("artifacts/quick/models/pargo/seed-0/finetune", (Layout("quick"), "pargo", 0)),
        ("/x/artifacts/quick/models/a_b/seed-12/finetune", (Layout("quick", Path("/x")), "a_b", 12)),
        ("models/pargo/seed-0/finetune", None),
        ("artifacts/quick/models/pargo/seed-x/finetune", None),
        ("artifacts/quick/predictions/pargo/seed-0/mini_mme", None),
        ("x", None),
    ],
)
def test_place_of_a_model_directory(path, expected):
    place = Layout.of_model(Path(path))
    assert place == expected
    if expected:
        assert place[0].model(*place[1:], "finetune") == Path(path)
