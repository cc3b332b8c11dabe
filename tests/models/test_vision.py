"""The frozen vision tower: what it returns, how images are resized, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from pargo.errors import PargoError
from pargo.models.vision import PargoVisionConfig, VisionTower, load_vision_tower
from pargo.sources.random_models import write_random_vision
from tests.helpers.model_builders import vision

VIT = "test_vit"
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


@pytest.fixture(scope="module")
def cnn(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("vision") / "cnn"
    path.mkdir()
    write_random_vision(path, seed=0)
    (path / "config.json").write_text(json.dumps({"architecture": "test_efficientnet", "mean": MEAN, "std": STD}))
    return path


@pytest.fixture(scope="module")
def vit(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("vision") / "vit"
    path.mkdir()
    torch.manual_seed(0)
    save_file(timm.create_model(VIT, img_size=64).state_dict(), path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({"architecture": VIT, "mean": MEAN, "std": STD}))
    return path


def images(count: int = 2, size: tuple[int, int] = (64, 64)) -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), np.uint8)) for _ in range(count)]


def normalised(pictures: list[Image.Image]) -> torch.Tensor:
    pixels = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in pictures]).float() / 255
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def test_last_feature_maps_of_a_convolutional_network(cnn):
    tower = load_vision_tower(vision(16, 112, feature_layers=2), cnn)
    features = tower(normalised(images()))
    finer, coarser = tower.model.forward_intermediates(normalised(images()), indices=2, intermediates_only=True)
    assert (finer.shape[-1], coarser.shape[-1]) == (4, 2)
    assert features.shape == (2, 16, 112)
    for row in range(4):
        for column in range(4):
            expected = torch.cat([finer[:, :, row, column], coarser[:, :, row // 2, column // 2]], 1)
            torch.testing.assert_close(features[:, 4 * row + column], expected, atol=1e-5, rtol=1e-4)


def test_one_feature_layer(cnn):
    assert load_vision_tower(vision(4, 64), cnn)(normalised(images())).shape == (2, 4, 64)


def test_transformer_tokens_before_the_norm_without_class_token(vit):
    tower = load_vision_tower(vision(16, 64, architecture=VIT), vit)
    features = tower(normalised(images()))
    whole = tower.model.forward_features(normalised(images()))
    expected = whole[:, tower.model.num_prefix_tokens :]
    torch.testing.assert_close(tower.model.norm(features), expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(features, expected, atol=1e-2)


def test_frozen_and_independent_of_the_batch(cnn):
    tower = load_vision_tower(vision(16, 112, feature_layers=2), cnn)
    assert not any(parameter.requires_grad for parameter in tower.parameters())
    together = tower(normalised(images(3)))
    torch.testing.assert_close(together[1:2], tower(normalised(images(3)[1:2])), atol=1e-5, rtol=1e-4)


def test_pixels_of_another_size_are_refused(cnn):
    tower = load_vision_tower(vision(4, 64), cnn)
    with pytest.raises(ValueError, match=r"expected pixel_values \[batch, 3, 64, 64\], got \[2, 3, 32, 64\]"):
        tower(torch.zeros(2, 3, 32, 64))


def test_stays_in_evaluation_mode(cnn):
    tower = load_vision_tower(vision(4, 64), cnn)
    before = tower(normalised(images()))
    tower.train()
    assert torch.equal(tower(normalised(images())), before)


def test_eva02_gives_the_last_blocks_patches_before_the_norm():
    """The paper's tower is EVA-02-CLIP-L/14 at 336 px: the same classes here, small, and built without memory there."""
    config = PargoVisionConfig(architecture="eva02_tiny_patch14_224", image_size=56, num_patches=16, feature_size=192)
    tower = VisionTower(config)
    pixels = torch.randn(2, 3, 56, 56)
    features = tower(pixels)
    assert features.shape == (2, 16, 192)
    whole = tower.model.forward_features(pixels)[:, tower.model.num_prefix_tokens :]
    torch.testing.assert_close(tower.model.norm(features), whole, atol=1e-5, rtol=1e-4)
    with torch.device("meta"):
        paper = VisionTower(PargoVisionConfig())
        assert paper(torch.zeros(1, 3, 336, 336)).shape == (1, 576, 1024)


def test_config_must_match_the_tower(cnn):
    with pytest.raises(PargoError, match=r"vision\.num_patches: the config says 16, but test_efficientnet gives 4"):
        load_vision_tower(vision(16, 64), cnn)
    with pytest.raises(PargoError, match=r"vision\.feature_size: the config says 48, but test_efficientnet gives 64"):
        load_vision_tower(vision(4, 48), cnn)
    with pytest.raises(PargoError, match="holds 'test_efficientnet'"):
        load_vision_tower(vision(4, 64, architecture=VIT), cnn)


def test_unknown_architecture(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet_x", "mean": MEAN, "std": STD}))
    with pytest.raises(PargoError, match=r"timm has no 'resnet_x'; similar: .*resnet"):
        load_vision_tower(vision(4, 64, architecture="resnet_x"), tmp_path)


@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape"])
def test_weights_are_strict(cnn, tmp_path, damage):
    state = load_file(cnn / "model.safetensors")
    name = "conv_stem.weight"
    if damage == "missing":
        del state[name]
    elif damage == "unexpected":
        state[f"{name}.more"] = torch.zeros(1)
    else:
        state[name] = F.pad(state[name], (0, 1))
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((cnn / "config.json").read_bytes())
    with pytest.raises(PargoError, match=rf"model\.safetensors do not fit the model: [\s\S]*{name}"):
        load_vision_tower(vision(4, 64), tmp_path)


def test_a_truncated_file_is_refused(cnn, tmp_path):
    (tmp_path / "config.json").write_bytes((cnn / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((cnn / "model.safetensors").read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"cannot read .*model\.safetensors"):
        load_vision_tower(vision(4, 64), tmp_path)


def test_source_description(tmp_path):
    with pytest.raises(PargoError, match=r"config\.json does not exist"):
        load_vision_tower(vision(4, 64), tmp_path)
    (tmp_path / "config.json").write_text('{"architecture": "test_efficientnet"}')
    with pytest.raises(PargoError, match="lacks mean, std"):
        load_vision_tower(vision(4, 64), tmp_path)
