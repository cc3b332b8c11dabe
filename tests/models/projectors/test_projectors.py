"""What every projector must do: shapes, counts, the shared frozen LayerNorm, initialisation."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pargo.errors import PargoError
from pargo.models.projectors import PROJECTORS, build_projector
from tests.models.builders import (
    FEATURE_SIZE,
    NUM_PATCHES,
    OUTPUT_SIZE,
    mlp_config,
    pargo_config,
    projector,
    qformer_config,
    vision,
)

CONFIGS = {
    "pargo-cascade": (pargo_config(), 11),
    "pargo-release": (pargo_config(self_attention="release"), 11),
    "pargo-no-global": (pargo_config(4, 0), 4),
    "qformer": (qformer_config(), 11),
    "qformer-every-layer": (qformer_config(cross_attention_interval=1), 11),
    "mlp": (mlp_config(), 4),
}


@pytest.fixture(params=CONFIGS)
def case(request):
    return CONFIGS[request.param]


def test_shape_and_token_count(case):
    config, num_tokens = case
    model = projector(config)
    assert model.num_tokens == num_tokens
    tokens, _ = model(torch.randn(3, NUM_PATCHES, FEATURE_SIZE), output_attentions=True)
    assert tokens.shape == (3, num_tokens, OUTPUT_SIZE)


def test_flops_equal_the_counter(case):
    model = projector(case[0])
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(3, NUM_PATCHES, FEATURE_SIZE))
    assert model.flops(3) == counter.get_total_flops()


def test_features_are_normalised_without_parameters(case):
    model = projector(case[0])
    features = torch.randn(2, NUM_PATCHES, FEATURE_SIZE)
    torch.testing.assert_close(model(features * 7 + 3), model(features), atol=1e-3, rtol=1e-3)


def test_half_features_and_bf16_parameters(case):
    model = projector(case[0])
    features = torch.randn(2, NUM_PATCHES, FEATURE_SIZE).half()
    assert model(features).dtype == torch.float32
    assert model.bfloat16()(features).dtype == torch.bfloat16


def test_every_parameter_gets_a_gradient_and_starts_in_float32(case):
    model = build_projector(case[0], vision(), OUTPUT_SIZE)
    model(torch.randn(2, NUM_PATCHES, FEATURE_SIZE)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None, name


def test_initialisation(case):
    model = build_projector(case[0], vision(), 512)
    assert abs(model.output.weight.std().item() - 0.02) < 0.002
    assert (model.output.bias == 0).all()
    if hasattr(model, "query_tokens"):
        assert 0.01 < model.query_tokens.std().item() < 0.03


def test_only_parameters_are_saved(case):
    model = projector(case[0])
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


def test_qformer_cross_attention_in_every_second_layer():
    model = projector(qformer_config(num_layers=5))
    assert [layer.cross_attention is not None for layer in model.layers] == [True, False, True, False, True]
    _, attentions = model(torch.randn(1, NUM_PATCHES, FEATURE_SIZE), output_attentions=True)
    assert [len(attentions.self_attention), len(attentions.cross_attention)] == [5, 3]
    assert (attentions.cross_attention[0] > 0).all()


def test_mlp_sees_adjacent_patches_only():
    model = projector(mlp_config())
    features = torch.randn(1, NUM_PATCHES, FEATURE_SIZE)
    other = features.clone()
    other[0, 5] += torch.randn(FEATURE_SIZE)
    assert (model(features) != model(other)).any(-1)[0].tolist() == [False, True, False, False]


def test_other_features_are_refused():
    with pytest.raises(PargoError, match=r"expects features \[batch, 16, 12\], got \[2, 16, 13\]"):
        projector(mlp_config())(torch.randn(2, NUM_PATCHES, 13))


def test_unknown_name_lists_the_choices():
    with pytest.raises(PargoError, match="'linear' is not known; choices: " + ", ".join(sorted(PROJECTORS))):
        build_projector(SimpleNamespace(name="linear"), vision(), OUTPUT_SIZE)


def test_mlp_patches_must_divide():
    with pytest.raises(PargoError, match="adjacent_patches 3 does not divide 16 patches"):
        projector(mlp_config(adjacent_patches=3))
