"""Whitening: what it measures, that it is frozen, saved and shown, and that all projectors see whitened features."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from pargo.config.projectors.pargo import PargoProjector
from pargo.errors import PargoError
from pargo.models.configuration import PargoConfig
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.models.projectors.parts.whitening import SMOOTHING, Whitening
from pargo.models.vision import PargoVisionConfig
from pargo.report.cost import projector_cost
from tests.helpers.model_builders import FEATURE_SIZE, NUM_PATCHES, OUTPUT_SIZE, vision
from tests.helpers.projector_cases import CASES


def correlated(seed: int = 0, images: int = 200) -> torch.Tensor:
    """Features [images, N, Dv] whose channels are strongly correlated, of very different strength, and off center."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(FEATURE_SIZE, FEATURE_SIZE, generator=generator) * torch.logspace(-2, 2, FEATURE_SIZE)
    return torch.randn(images, NUM_PATCHES, FEATURE_SIZE, generator=generator) @ mixing + 5.0


def covariance(features: torch.Tensor) -> torch.Tensor:
    return torch.cov(features.flatten(0, 1).double().t(), correction=0)


def fitted(features: torch.Tensor) -> Whitening:
    whitening = Whitening(FEATURE_SIZE)
    whitening.fit(features)
    return whitening


def test_a_new_one_changes_nothing():
    features = correlated()
    assert torch.equal(Whitening(FEATURE_SIZE)(features), features)


def test_every_direction_gets_the_variance_that_smoothing_leaves_it():
    features = correlated()
    white = fitted(features)(features)
    before, after = torch.linalg.eigvalsh(covariance(features)), torch.linalg.eigvalsh(covariance(white))
    expected = before / (before + SMOOTHING * before.mean())
    assert torch.allclose(after.sort().values, expected.sort().values, atol=1e-3)
    assert white.mean((0, 1)).abs().max() < 1e-2
    assert before.max() / before.min() > 1e6


def test_it_turns_with_the_features():
    features = correlated()
    turn = torch.linalg.qr(torch.randn(FEATURE_SIZE, FEATURE_SIZE, generator=torch.Generator().manual_seed(1)))[0]
    turned = features @ turn
    assert torch.allclose(fitted(turned)(turned), fitted(features)(features) @ turn, atol=2e-3)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_strength_of_all_features_does_not_matter(factor):
    features = correlated()
    assert torch.allclose(fitted(features * factor)(features * factor), fitted(features)(features), atol=2e-3)


def test_features_that_are_all_the_same_are_refused():
    with pytest.raises(PargoError, match="features cannot be whitened: all patches have the same"):
        fitted(torch.full((3, NUM_PATCHES, FEATURE_SIZE), 2.0))


@pytest.mark.parametrize("name", sorted(CASES))
def test_projectors_see_whitened_features_and_nothing_else_differs(name):
    config, features = CASES[name][0], correlated()
    torch.manual_seed(0)
    plain = build_projector(config, ProjectorShape(NUM_PATCHES, FEATURE_SIZE, OUTPUT_SIZE)).eval()
    torch.manual_seed(0)
    white = build_projector(config, ProjectorShape(NUM_PATCHES, FEATURE_SIZE, OUTPUT_SIZE, whiten=True)).eval()
    own = {name for name in white.state_dict() if name not in plain.state_dict()}
    assert own == {"whitening.mean", "whitening.matrix"}
    white.whitening.fit(features)
    seen = white.whitening(features[:3])
    assert torch.equal(white(features[:3]), plain(seen))
    assert white.num_parameters == plain.num_parameters
    assert white.flops(3) - plain.flops(3) == 2 * 3 * NUM_PATCHES * FEATURE_SIZE**2
    assert not any(parameter.requires_grad for parameter in white.whitening.parameters())


def test_what_a_trained_projector_costs_is_that_of_one_without(tmp_path):
    costs = []
    for whiten in (False, True):
        built = build_projector(CASES["mlp"][0], ProjectorShape(NUM_PATCHES, FEATURE_SIZE, OUTPUT_SIZE, whiten))
        weights = {f"projector.{name}": tensor for name, tensor in built.state_dict().items()}
        save_file(weights, tmp_path / "model.safetensors")
        costs.append(projector_cost(built.config, vision(whiten=whiten), tmp_path / "model.safetensors"))
        assert costs[-1].parameters == built.num_parameters
    assert costs[0].parameters == costs[1].parameters
    assert costs[0].flops < costs[1].flops


def test_a_config_of_transformers_says_so():
    assert ProjectorShape.between(vision(whiten=True), 8).whiten
    sizes = {"image_size": 64, "num_patches": 16, "feature_size": 12}
    projector = {"name": "linear"}
    config = PargoConfig(vision_config=PargoVisionConfig(**sizes, whiten=True), projector_config=projector)
    again = PargoConfig.from_dict(config.to_dict())
    assert ProjectorShape.between(again.vision_config, 8).whiten
    assert not PargoVisionConfig(**sizes).whiten  # as models were exported before


def test_the_released_checkpoint_has_none():
    released = PargoProjector.model_validate({**PargoConfig().projector_config})
    with torch.device("meta"):
        built = build_projector(released, ProjectorShape(576, 1024, 4096))
    assert built.whitening is None
