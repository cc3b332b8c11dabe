"""Every projector trains; every arm of every config makes a step of both stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from pargo.config.base import canonical_json
from pargo.config.experiment import Config, parse_config
from pargo.data.feature_store import write_features
from pargo.graph.stage_settings import finetune, pretrain
from pargo.manifest import publish
from pargo.sources.random_models import write_random_language
from tests.helpers.model_builders import FEATURE_SIZE, NUM_PATCHES
from tests.helpers.projector_cases import CASES, first_of_each
from tests.helpers.training_processes import train
from tests.helpers.training_world import NUM_IMAGES, World

CONFIGS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(Path("config").glob("*.yaml"))}
QUICK = CONFIGS["quick"]
ARMS = [(name, arm) for name, data in CONFIGS.items() for arm in data["arms"]]


@pytest.fixture(scope="module")
def inputs(world: World, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function: inputs of a stage for a config, with features of its shape and a small random language model."""
    root = tmp_path_factory.mktemp("inputs")
    with publish(root / "language", settings={}) as directory:
        write_random_language(directory, hidden_size=32, num_layers=1, num_heads=2, seed=0)
        # with its small random numbers the frozen output layer could not be sure of anything
        weights = load_file(directory / "model.safetensors")
        save_file(
            {name: tensor * 25 if tensor.dim() > 1 else tensor for name, tensor in weights.items()},
            directory / "model.safetensors",
            {"format": "pt"},
        )

    def make(config: Config, stage: str, pretrained: Path | None, arm: str = "pargo") -> dict[str, Any]:
        shape = config.vision.num_patches, config.vision.feature_size
        features = root / f"features-{shape[0]}-{shape[1]}"
        if not features.exists():
            ids = [f"{index:04d}" for index in range(NUM_IMAGES)]
            random = torch.Generator().manual_seed(0)
            with publish(features, settings={}) as directory:
                write_features(directory, ids, [torch.randn(len(ids), *shape, generator=random)])
        mixture = getattr(config.arms[arm], stage).mixture
        given: dict[str, Any] = {"language": root / "language", "features": dict.fromkeys(mixture, features)}
        if stage == "pretrain":
            return given | {"captions": dict.fromkeys(mixture, world.root / "captions")}
        return given | {"sources": dict.fromkeys(mixture, world.root / "source"), "pretrained": pretrained}

    return make


def settings_of(config: Config, arm: str, stage: str, **changes: Any) -> str:
    """Settings of a stage as the graph gives them, but for the language model, a small one, and a short alignment."""
    function = {"pretrain": pretrain, "finetune": finetune}[stage]
    settings = json.loads(canonical_json(function(config, arm, 0)))
    settings["train"] |= changes
    settings["language"] |= {"precision": "fp32", "layers": None, "warm_up": None}
    if alignment := settings["train"].get("alignment"):
        alignment["num_samples"] = alignment["batch_size"]
    settings["splits"] = dict.fromkeys(settings["splits"], "train")
    return json.dumps(settings)


@pytest.mark.parametrize(("name", "arm"), ARMS)
def test_every_arm_of_every_config_makes_a_step(inputs, tmp_path, name, arm):
    config, pretrained = parse_config(CONFIGS[name]), None
    for stage in ("pretrain", "finetune"):
        part = getattr(config.arms[arm], stage)
        arguments = inputs(config, stage, pretrained, arm) | {
            "output": tmp_path / stage,
            "run_directory": tmp_path / "run",
        }
        changes = {"num_samples": part.batch_size, "warmup": 0.0}
        if name == "paper":  # its projectors at their size, on one stored sample instead of hundreds of images
            changes |= {"num_samples": 1, "batch_size": 1, "micro_batch_size": 1, "features": "stored"}
            changes |= {"num_threads": 1, "num_workers": 0}
        (row,) = train(stage, settings_of(config, arm, stage, **changes), arguments)
        assert 0 < row["loss"] < 100
        pretrained = tmp_path / stage


@pytest.mark.parametrize("name", sorted(first_of_each()))
def test_every_projector_learns_one_batch_by_heart(inputs, tmp_path, name):
    """Two captions, again and again, with LoRA: the loss must vanish."""
    settings, _ = CASES[first_of_each()[name]]
    vision = QUICK["vision"] | {"num_patches": NUM_PATCHES, "feature_size": FEATURE_SIZE}
    projectors = {"pargo": settings.model_dump(), "qformer": settings.model_dump()}
    config = parse_config(QUICK | {"vision": vision, "projectors": projectors})
    assert config.arms["pargo"].projector.name == name
    arguments = inputs(config, "pretrain", None) | {"output": tmp_path / "out", "run_directory": tmp_path / "run"}
    captions = arguments["captions"]["scenes"]
    with publish(tmp_path / "captions", settings={}) as directory:
        lines = (captions / "captions.jsonl").read_text().splitlines(keepends=True)[:2]
        (directory / "captions.jsonl").write_text("".join(lines))
    arguments["captions"] = dict.fromkeys(arguments["captions"], tmp_path / "captions")
    settings = settings_of(
        config,
        "pargo",
        "pretrain",
        num_samples=2 * 200,
        batch_size=2,
        micro_batch_size=2,
        learning_rate=1e-3,
        lora={"rank": 8, "alpha": 16, "learning_rate": 1e-2},
    )
    metrics = train("pretrain", settings, arguments)
    assert metrics[-1]["loss"] < 0.01
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert weights["projector.output.weight"].shape[0] == 32
