"""The features stage and its store: round trip, order, determinism, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pargo.code import import_closure
from pargo.data.feature_store import FeatureStore, write_features
from pargo.errors import PargoError
from pargo.manifest import publish, read_manifest, read_provenance
from pargo.models.features import FeaturesSettings, encode, run
from pargo.models.image_processor import PargoImageProcessor
from pargo.models.vision import load_vision_tower
from pargo.sources.random_models import write_random_vision
from tests.helpers.model_builders import vision

SETTINGS = FeaturesSettings(split="test", vision=vision(16, 112, feature_layers=2))


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> tuple[Path, Path]:
    """A folder of 35 images (more than a batch) and a tower."""
    root = tmp_path_factory.mktemp("artifacts")
    generator = np.random.default_rng(0)
    with publish(root / "source", settings={}) as directory:
        (directory / "test").mkdir()
        for index in range(35):
            pixels = generator.integers(0, 256, (40, 50, 3), np.uint8)
            Image.fromarray(pixels).save(directory / "test" / f"{index:02}.png")
    with publish(root / "tower", settings={}) as directory:
        write_random_vision(directory, seed=0)
    return root / "source", root / "tower"


def test_stage_round_trip(artifacts, tmp_path):
    source, tower = artifacts
    run(SETTINGS, source, tower, tmp_path / "features")
    store = FeatureStore(tmp_path / "features")
    assert store.ids == [f"{index:02}.png" for index in range(35)]
    assert (len(store), "03.png" in store, "99.png" in store) == (35, True, False)
    encoder = load_vision_tower(SETTINGS.vision, tower)
    processor = PargoImageProcessor.for_tower(SETTINGS.vision, tower)
    for name in ("00.png", "31.png", "34.png"):
        expected = encode(encoder, processor, [Image.open(source / "test" / name)])[0]
        assert (store[name].shape, store[name].dtype) == ((16, 112), torch.float16)
        torch.testing.assert_close(store[name].float(), expected, atol=1e-2, rtol=1e-2)
    assert sorted(read_manifest(tmp_path / "features")["files"]) == ["features.safetensors", "ids.json"]
    assert len(read_provenance(tmp_path / "features")["inputs"]) == 2


def test_two_runs_are_byte_identical(artifacts, tmp_path):
    for name in ("a", "b"):
        run(SETTINGS, *artifacts, tmp_path / name, num_threads=torch.get_num_threads())
    assert read_manifest(tmp_path / "a")["files"] == read_manifest(tmp_path / "b")["files"]


def test_file_is_plain_safetensors(tmp_path):
    features = torch.randn(5, 4, 3)
    write_features(tmp_path, list("abcde"), features.split(2))
    stored = load_file(tmp_path / "features.safetensors")
    assert list(stored) == ["features"]
    assert torch.equal(stored["features"], features.half())
    store = FeatureStore(tmp_path)
    assert torch.equal(torch.stack([store[name] for name in "abcde"]), features.half())


def test_refusals(artifacts, tmp_path):
    source, tower = artifacts
    with pytest.raises(PargoError, match="has no split 'train'; choices: test"):
        run(SETTINGS.model_copy(update={"split": "train"}), source, tower, tmp_path / "x")
    with pytest.raises(PargoError, match="not unique"):
        write_features(tmp_path, ["a", "a"], [torch.zeros(2, 1, 1)])
    with pytest.raises(PargoError, match="not finite in float16"):
        write_features(tmp_path, ["a"], [torch.full((1, 1, 1), 1e6)])
    with pytest.raises(ValueError, match="1 features for 2 ids"):
        write_features(tmp_path, ["a", "b"], [torch.zeros(1, 1, 1)])
    with pytest.raises(PargoError, match="is not a feature directory"):
        FeatureStore(tmp_path / "nothing")


def test_store_refusals(tmp_path):
    write_features(tmp_path, ["a"], [torch.zeros(1, 1, 1)])
    with pytest.raises(PargoError, match="has no features of image 'b'"):
        FeatureStore(tmp_path)["b"]
    (tmp_path / "ids.json").write_text(json.dumps(["a", "b"]))
    with pytest.raises(PargoError, match="1 features for 2 ids"):
        FeatureStore(tmp_path)


def test_closure_has_no_language_model():
    files = {path.as_posix() for path in import_closure("pargo.models.features")}
    assert "pargo/models/vision.py" in files
    assert not any(
        name in path for path in files for name in ("projectors", "vlm", "report", "benchmarks", "experiment")
    )
