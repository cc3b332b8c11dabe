"""Every projector of the quick config trains and answers, chosen by one word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from pargo.config.base import canonical_json
from pargo.config.experiment import parse_config
from pargo.config.stages import pretrain
from pargo.data.feature_store import write_features
from pargo.data.random_models import write_random_language
from pargo.manifest import publish
from pargo.models.projectors import PROJECTORS
from pargo.train.pretrain import PretrainSettings, run
from tests.train.conftest import World

QUICK = yaml.safe_load(Path("config/quick.yaml").read_text())


@pytest.fixture(scope="module")
def inputs(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Captions of the test world, and features of quick's shape."""
    root = tmp_path_factory.mktemp("quick")
    ids = [f"{index:04d}" for index in range(24)]
    shape = QUICK["vision"]["num_patches"], QUICK["vision"]["feature_size"]
    with publish(root / "language", settings={}) as directory:
        write_random_language(directory, hidden_size=32, num_layers=1, num_heads=2, seed=0)
    with publish(root / "features", settings={}) as directory:
        write_features(directory, ids, [torch.randn(len(ids), *shape, generator=torch.Generator().manual_seed(0))])
    return {
        "language": root / "language",
        "captions": {"scenes": world.root / "captions"},
        "features": {"scenes": root / "features"},
    }


def test_all_are_there():
    assert set(QUICK["projectors"]) == set(PROJECTORS)


@pytest.mark.parametrize("name", sorted(QUICK["projectors"]))
def test_one_step(inputs, tmp_path, name):
    data = QUICK | {"arms": QUICK["arms"] | {"pargo": {"projector": name}}}
    settings = json.loads(canonical_json(pretrain(parse_config(data), "pargo", 0)))
    settings["train"] |= {"num_samples": 4, "warmup": 0.0}
    settings["language"]["precision"] = "fp32"
    output = tmp_path / "out"
    run(
        PretrainSettings.model_validate_json(json.dumps(settings)),
        **inputs,
        output=output,
        run_directory=tmp_path / "run",
    )
    (line,) = (output / "metrics.jsonl").read_text().splitlines()
    assert 0 < json.loads(line)["loss"] < 100
    weights = load_file(output / "model.safetensors")
    assert weights["projector.output.weight"].shape[0] == 32
    # all arms have the same number of image tokens
    assert parse_config(data).arms["pargo"].projector.name == QUICK["projectors"][name]["name"]
