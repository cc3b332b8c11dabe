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

from pargo.data.random_models import write_random_vision
from pargo.errors import PargoError
from pargo.models.vision import VisionTower
from tests.models.builders import vision

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
    tower = VisionTower(vision(16, 112, feature_layers=2), cnn)
    features = tower.encode(images())
    finer, coarser = tower.model.forward_intermediates(normalised(images()), indices=2, intermediates_only=True)
    assert (finer.shape[-1], coarser.shape[-1]) == (4, 2)
    assert features.shape == (2, 16, 112)
    for row in range(4):
        for column in range(4):
            expected = torch.cat([finer[:, :, row, column], coarser[:, :, row // 2, column // 2]], 1)
            torch.testing.assert_close(features[:, 4 * row + column], expected, atol=1e-5, rtol=1e-4)


def test_one_feature_layer(cnn):
    assert VisionTower(vision(4, 64), cnn).encode(images()).shape == (2, 4, 64)


def test_transformer_tokens_before_the_norm_without_class_token(vit):
    tower = VisionTower(vision(16, 64, architecture=VIT), vit)
    features = tower.encode(images())
    whole = tower.model.forward_features(normalised(images()))
    expected = whole[:, tower.model.num_prefix_tokens :]
    torch.testing.assert_close(tower.model.norm(features), expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(features, expected, atol=1e-2)


def test_frozen_and_independent_of_the_batch(cnn):
    tower = VisionTower(vision(16, 112, feature_layers=2), cnn)
    assert not any(parameter.requires_grad for parameter in tower.parameters())
    together = tower.encode(images(3))
    torch.testing.assert_close(together[1:2], tower.encode(images(3)[1:2]), atol=1e-5, rtol=1e-4)


def test_uint8_tensors_and_images_agree(cnn):
    tower = VisionTower(vision(4, 64), cnn)
    tensor = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images()])
    assert torch.equal(tower.encode(images()), tower.encode(tensor))
    with pytest.raises(
        PargoError, match=r"expected uint8 images \[batch, 3, 64, 64\], got torch\.uint8 \[2, 3, 32, 64\]"
    ):
        tower.encode(tensor[:, :, ::2])


def test_resize_policies(cnn):
    def resized(policy: str, image: Image.Image) -> np.ndarray:
        return VisionTower(vision(4, 64, resize=policy), cnn).preprocess(image).permute(1, 2, 0).numpy()

    wide = Image.new("RGB", (128, 64), (255, 0, 0))
    wide.paste((0, 0, 255), (32, 0, 96, 64))  # the middle half is blue
    squashed, cropped, padded = (resized(policy, wide) for policy in ("squash", "crop", "pad"))
    assert squashed.shape == cropped.shape == padded.shape == (64, 64, 3)
    assert (squashed[32, [4, 60]] == (255, 0, 0)).all()
    assert (squashed[32, 32] == (0, 0, 255)).all()
    assert (cropped[4:60, 4:60] == (0, 0, 255)).all()
    background = [round(255 * value) for value in MEAN]
    assert (padded[[4, 60], 32] == background).all()
    assert (padded[32, 4] == (255, 0, 0)).all()
    assert resized("squash", Image.new("L", (64, 64), 9)).tolist() == np.full((64, 64, 3), 9).tolist()


def test_config_must_match_the_tower(cnn):
    with pytest.raises(PargoError, match=r"vision\.num_patches: the config says 16, but test_efficientnet gives 4"):
        VisionTower(vision(16, 64), cnn)
    with pytest.raises(PargoError, match=r"vision\.feature_size: the config says 48, but test_efficientnet gives 64"):
        VisionTower(vision(4, 48), cnn)
    with pytest.raises(PargoError, match="holds 'test_efficientnet'"):
        VisionTower(vision(4, 64, architecture=VIT), cnn)


def test_unknown_architecture(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet_x", "mean": MEAN, "std": STD}))
    with pytest.raises(PargoError, match=r"timm has no 'resnet_x'; similar: .*resnet"):
        VisionTower(vision(4, 64, architecture="resnet_x"), tmp_path)


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
    with pytest.raises(PargoError, match=rf"model\.safetensors does not fit the vision tower[\s\S]*{name}"):
        VisionTower(vision(4, 64), tmp_path)


def test_source_description(tmp_path):
    with pytest.raises(PargoError, match=r"cannot read the vision source .*config\.json"):
        VisionTower(vision(4, 64), tmp_path)
    (tmp_path / "config.json").write_text('{"architecture": "test_efficientnet"}')
    with pytest.raises(PargoError, match="lacks mean, std"):
        VisionTower(vision(4, 64), tmp_path)
