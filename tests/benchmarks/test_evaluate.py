"""The evaluate stage on a tiny random model: benchmark order, prompts, hashes, official export, same bytes twice."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pargo.benchmarks.evaluate import DATASETS, EvaluateSettings, generate_answers, run
from pargo.benchmarks.records import PREDICTIONS, read_predictions
from pargo.benchmarks.score import SCORERS, ScoreSettings
from pargo.benchmarks.score import run as run_score
from pargo.config.base import canonical_json
from pargo.config.experiment import load_config
from pargo.config.generation import Generation
from pargo.config.models import Adapter
from pargo.config.stages import evaluate as stage_settings
from pargo.data.feature_store import FeatureStore, write_features
from pargo.data.images import open_images
from pargo.data.mini_mme import write_mini_mme
from pargo.data.random_models import byte_tokenizer, write_random_language
from pargo.data.shards import ShardWriter
from pargo.data.template import MME_SUFFIX, encode_prompt
from pargo.errors import PargoError
from pargo.manifest import publish, read_manifest, read_provenance
from pargo.models.build import build_model, own_state_dict
from pargo.models.vlm import PargoForConditionalGeneration

VISION = {"source": "v", "architecture": "test", "image_size": 32, "num_patches": 4, "feature_size": 6}
LORA = Adapter(rank=2, alpha=4, target_modules=("q_proj", "v_proj"))


def make_settings(**benchmark) -> EvaluateSettings:
    return EvaluateSettings.model_validate_json(
        canonical_json(
            {
                "vision": VISION,
                "language": {"source": "l", "precision": "fp32"},
                "projector": {"name": "mlp", "adjacent_patches": 2, "hidden_size": 8},
                "lora": LORA,
                "benchmark": {"source": "s", "split": "test", **benchmark},
                "generation": {"batch_size": 3, "max_new_tokens": 3},
            }
        )
    )


def build(settings: EvaluateSettings, language: Path) -> PargoForConditionalGeneration:
    kind = PargoForConditionalGeneration
    return build_model(kind, settings.vision, settings.language, settings.projector, settings.lora, language, seed=3)


def publish_features(directory: Path, ids: list[str]) -> None:
    features = torch.randn(len(ids), 4, 6, generator=torch.Generator().manual_seed(0))
    with publish(directory, settings={}) as folder:
        write_features(folder, ids, [features])


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Directories of a language model, a trained model, and both benchmarks with their features."""
    root = tmp_path_factory.mktemp("parts")
    with publish(root / "language", settings={}) as folder:
        write_random_language(folder, hidden_size=16, num_layers=1, num_heads=2, seed=0)
    settings = make_settings(kind="mini_mme")
    with publish(root / "model", settings={}) as folder:
        save_file(own_state_dict(build(settings, root / "language")), folder / "model.safetensors")
    with publish(root / "mini_mme", settings={}) as folder:
        write_mini_mme(folder, seed=1, images_per_task=1, image_size=32)
    with publish(root / "easy_vqa", settings={}) as folder, ShardWriter(folder / "test") as writer:
        for number in range(3):
            turns = [["is it red?", "yes"], ["what shape is in the image?", "circle"]]
            writer.write(b"image %d" % number, {"id": f"{number:06d}", "conversation": turns})
    for name in ("mini_mme", "easy_vqa"):
        publish_features(root / f"{name}-features", open_images(root / name, "test").ids)
    return root


def evaluate(parts: Path, settings: EvaluateSettings, output: Path, **changes: Path):
    name = settings.benchmark.kind
    paths = {"language": "language", "model": "model", "source": name, "features": f"{name}-features"}
    run(settings, **{key: parts / path for key, path in paths.items()} | changes, output=output)
    return read_predictions(output / PREDICTIONS)


@pytest.mark.parametrize("prompt", ["compact", "official"])
def test_mini_mme(parts, tmp_path, prompt):
    settings = make_settings(kind="mini_mme", prompt=prompt)
    predictions = evaluate(parts, settings, tmp_path / "predictions")
    questions = DATASETS["mini_mme"].read_questions(parts / "mini_mme", settings.benchmark)
    assert [item.id for item in predictions] == [item.id for item in questions]
    for item, question in zip(predictions, questions, strict=True):
        assert item.model_dump(include=question.model_fields_set) == question.model_dump()
        assert item.prompt == (
            question.question if prompt == "official" else question.question.removesuffix(MME_SUFFIX)
        )
        assert item.image_sha256 == hashlib.sha256((parts / "mini_mme" / "test" / item.image).read_bytes()).hexdigest()
        assert item.answer == item.answer.strip()
        assert item.parsed in ("yes", "no", "other")
    tasks = {item.task for item in predictions}
    assert {path.name for path in (tmp_path / "predictions" / "official").iterdir()} == {
        f"{task}.txt" for task in tasks
    }
    inputs = read_provenance(tmp_path / "predictions")["inputs"]
    assert {Path(name).name.removesuffix(".manifest.json") for name in inputs} == {
        "language",
        "model",
        "mini_mme",
        "mini_mme-features",
    }


def test_easy_vqa_from_shards_to_a_score(parts, tmp_path):
    settings = make_settings(kind="easy_vqa", max_questions=5)
    predictions = evaluate(parts, settings, tmp_path / "predictions")
    assert [item.image for item in predictions] == ["000000"] * 2 + ["000001"] * 2
    assert predictions[2].image_sha256 == hashlib.sha256(b"image 1").hexdigest()
    assert predictions[0].prompt == "is it red?"
    score = tmp_path / "score.json"
    run_score(ScoreSettings(benchmark=settings.benchmark, bootstrap_samples=20), tmp_path / "predictions", score)
    assert json.loads(score.read_text())["headline"]["num_questions"] == 4


def test_two_runs_give_the_same_bytes(parts, tmp_path):
    settings = make_settings(kind="mini_mme")
    manifests = []
    for name in ("a", "b"):
        evaluate(parts, settings, tmp_path / name)
        manifests.append(read_manifest(tmp_path / name))
    assert manifests[0] == manifests[1]


def test_answers_do_not_depend_on_the_batches(parts):
    settings = make_settings(kind="easy_vqa")
    model = build(settings, parts / "language")
    store, tokenizer = FeatureStore(parts / "mini_mme-features"), byte_tokenizer()
    images = [store.ids[number % len(store)] for number in range(7)]
    # an untrained model with tied embeddings repeats the last letter
    prompts = [
        encode_prompt(tokenizer, "Is it " + "so " * (number % 4) + letter) for number, letter in enumerate("abcdefg")
    ]
    found = [
        generate_answers(model, tokenizer, store, images, prompts, Generation(batch_size=size, max_new_tokens=4))
        for size in (1, 3, 7)
    ]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) == 7


def test_every_prompt_gets_its_own_image_and_answer(parts, monkeypatch):
    sizes = []

    def echo(model, features, prompts, images, **options):
        """Answers with the image's first feature and the prompt."""
        sizes.append((len(prompts), len(features)))
        firsts = [f" {features[image][0, 0].item():.4f} " for image in images]
        return [tokenizer(first)["input_ids"] + prompt for first, prompt in zip(firsts, prompts, strict=True)]

    monkeypatch.setattr("pargo.benchmarks.evaluate.generate", echo)
    store, tokenizer, model = FeatureStore(parts / "mini_mme-features"), byte_tokenizer(), torch.nn.Linear(1, 1)
    assert len(store) > 3
    images = [store.ids[-1 - number % 4] for number in range(8)]
    texts = ["x" * (number * 5 % 8 + 1) for number in range(8)]
    prompts = [tokenizer(text)["input_ids"] for text in texts]
    answers = generate_answers(model, tokenizer, store, images, prompts, Generation(batch_size=3))
    expected = [f"{store[image][0, 0].item():.4f} {text}" for image, text in zip(images, texts, strict=True)]
    assert answers == expected
    assert sizes == [(3, 2), (3, 2), (2, 1)]  # an image's questions come together


def test_features_of_other_images_are_refused(parts, tmp_path):
    publish_features(tmp_path / "features", ["000000", "000002"])
    with pytest.raises(PargoError, match=r"features lacks 1 images of .*easy_vqa, e\.g\. '000001'"):
        evaluate(parts, make_settings(kind="easy_vqa"), tmp_path / "out", features=tmp_path / "features")
    assert not (tmp_path / "out").exists()


def test_settings_are_those_the_graph_passes():
    config = load_config("config/quick.yaml")
    for benchmark in config.benchmarks:
        settings = EvaluateSettings.model_validate_json(canonical_json(stage_settings(config, "pargo", benchmark)))
        assert settings.benchmark == config.benchmarks[benchmark]
    assert DATASETS.keys() == SCORERS.keys() == {item.kind for item in config.benchmarks.values()}
