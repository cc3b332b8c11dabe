"""What every projector must do: shapes, counts, the shared frozen LayerNorm, precision, compilation, checkpointing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pargo.config.projectors import PROJECTORS
from pargo.config.projectors.c_abstractor import CAbstractorProjector
from pargo.config.projectors.linear import LinearProjector
from pargo.config.projectors.mlp import MLPProjector
from pargo.config.projectors.pargo import PargoProjector
from pargo.config.projectors.qformer import QFormerProjector
from pargo.config.projectors.resampler import ResamplerProjector
from pargo.errors import InputError
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.models.projectors.parts.recompute import keep_all
from tests.helpers.model_builders import (
    FEATURE_SIZE,
    NUM_PATCHES,
    OUTPUT_SIZE,
    c_abstractor_config,
    linear_config,
    mlp_config,
    pargo_config,
    projector,
    qformer_config,
    resampler_config,
)
from tests.helpers.projector_cases import CASES, first_of_each

SHAPE = ProjectorShape(NUM_PATCHES, FEATURE_SIZE, OUTPUT_SIZE)
PAPER = ProjectorShape(num_patches=576, feature_size=1024, output_size=4096)


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def features(batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, NUM_PATCHES, FEATURE_SIZE)


def test_every_projector_is_here():
    assert {config.name for config, _ in CASES.values()} == set(PROJECTORS.names)


def test_shape_and_token_count(case):
    config, num_tokens = case
    model = projector(config)
    assert model.num_tokens == num_tokens
    tokens, attentions = model(features(), output_attentions=True)
    assert tokens.shape == (3, num_tokens, OUTPUT_SIZE)
    for layer in attentions.self_attention:
        assert layer.shape == (3, 2, num_tokens, num_tokens)
    for layer in attentions.cross_attention:
        assert layer.shape == (3, 2, num_tokens, NUM_PATCHES)
    for average in attentions.cross_maps():
        assert average.shape == (3, num_tokens, NUM_PATCHES)


def test_images_of_a_batch_are_independent(case):
    model = projector(case[0]).eval()
    batch = features(3)
    torch.testing.assert_close(model(batch)[1:2], model(batch[1:2]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("batch", [1, 3])
def test_flops_equal_the_counter(case, batch):
    config = case[0]
    model = projector(config)
    # as products that the counter knows
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(features(batch))
    uncounted = 0
    if config.name == "pargo" and config.num_partial_tokens:
        # products within groups are sums of elementwise products, which the counter does not know
        uncounted = config.num_layers * 2 * 2 * batch * NUM_PATCHES * config.hidden_size
    assert model.flops(batch) == counter.get_total_flops() + uncounted


# Dv = 1024, 576 patches, language model of width 4096; the figures of others' papers and code. Derivations:
LINEAR = 1024 * 4096 + 4096
LINEAR_4 = 4 * 1024 * 4096 + 4096
MLP = LINEAR + 4096 * 4096 + 4096
# BERT-base: 12 layers of self-attention (4 Linears and a norm) and feed-forward, cross-attention in 6 of them, a norm
# in front, 32 queries without positions, the output Linear
_ATTENTION = 2 * (768 * 768 + 768) + 2 * 768
QFORMER = (
    12 * (_ATTENTION + 2 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 2 * 768)
    + 6 * (_ATTENTION + 2 * (1024 * 768 + 768))
    + 32 * 768
    + 2 * 768
    + 768 * 4096
    + 4096
)
# 6 layers without biases: two norms, query, key and value, output, norm, two Linears; latents, a last norm, output
RESAMPLER = 6 * (4 * 1024 + 4 * 1024 * 512 + 2 * 1024 + 2 * 1024 * 4096) + 64 * 1024 + 2 * 1024 + 1024 * 4096 + 4096
# 6 bottlenecks: 1x1 and norm, depthwise 3x3 and norm, squeeze-and-excitation to a quarter, 1x1 and norm; two Linears
_BOTTLENECK = 2 * (1024 * 1024 + 2 * 1024) + 9 * 1024 + 2 * 1024 + 2 * 1024 * 256 + 256 + 1024
C_ABSTRACTOR = 6 * _BOTTLENECK + MLP
POSITIONS = 576 * 1024


@pytest.mark.parametrize(
    ("config", "parameters", "millions", "tokens"),
    [
        (LinearProjector(name="linear"), LINEAR, 4.20, 576),
        (LinearProjector(name="linear", adjacent_patches=4), LINEAR_4, 16.8, 144),
        (MLPProjector(name="mlp", adjacent_patches=1, hidden_size=4096), MLP, 20.98, 576),
        (
            QFormerProjector(
                name="qformer", num_tokens=32, hidden_size=768, num_layers=12, num_heads=12, intermediate_size=3072
            ),
            QFORMER,
            104.8,
            32,
        ),
        (ResamplerProjector(name="resampler", num_tokens=64), RESAMPLER, 67.2, 64),
        (CAbstractorProjector(name="c_abstractor", hidden_size=1024), C_ABSTRACTOR + POSITIONS, None, 144),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else None,
)
def test_parameter_counts_at_the_papers_size(config, parameters, millions, tokens):
    with torch.device("meta"):
        model = build_projector(config, PAPER)
    assert model.num_parameters == parameters
    assert model.num_tokens == tokens
    if millions is not None:
        assert round(parameters / 1e6, 2 if millions in (4.20, 20.98) else 1) == millions


def test_c_abstractor_without_positions_is_the_published_count():
    assert round(C_ABSTRACTOR / 1e6, 1) == 36.8


def test_pargo_at_the_size_of_the_release():
    config = PargoProjector(
        name="pargo",
        num_partial_tokens=288,
        num_global_tokens=16,
        hidden_size=512,
        num_layers=4,
        num_heads=8,
        intermediate_size=2048,
        self_attention="release",
    )
    with torch.device("meta"):
        model = build_projector(config, PAPER)
    attention = 2 * (512 * 512 + 512) + 2 * 512
    layer = attention + 2 * (512 * 512 + 512) + attention + 2 * (1024 * 512 + 512)
    layer += 2 * 512 * 2048 + 2048 + 512 + 2 * 512
    assert model.num_parameters == 4 * layer + 2 * 304 * 512 + 2 * 512 + 512 * 4096 + 4096
    assert model.num_tokens == 304


def test_features_are_normalised_by_a_frozen_norm(case):
    model = projector(case[0])
    batch = features(2)
    torch.testing.assert_close(model(batch * 7 + 3), model(batch), atol=1e-3, rtol=1e-3)
    assert not any(parameter.requires_grad for parameter in model.input_norm.parameters())
    with torch.no_grad():
        model.input_norm.bias += torch.randn(FEATURE_SIZE)  # as a released checkpoint may bring
    assert not torch.allclose(model(batch), model(batch * 0 + 1))


def test_half_features_and_bf16_parameters(case):
    model = projector(case[0])
    batch = features(2)
    exact = model(batch)
    assert model(batch.half()).dtype == torch.float32
    low = model.bfloat16()(batch.half())
    assert low.dtype == torch.bfloat16
    assert (low.float() - exact).norm() < 0.1 * exact.norm()
    low.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_every_parameter_gets_a_gradient_and_starts_in_float32(case):
    model = build_projector(case[0], SHAPE)
    model(features()).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        assert (parameter.grad is not None) == parameter.requires_grad, name


def gradients(model: torch.nn.Module, batch: torch.Tensor, call=None) -> list[torch.Tensor]:
    model.zero_grad()
    (model if call is None else call)(batch).square().sum().backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.requires_grad]


def test_gradients_are_those_of_finite_differences(case):
    model = projector(case[0], std=0.1).double()
    batch = features(2).double()
    analytic = gradients(model, batch)
    generator = torch.Generator().manual_seed(0)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in trainable]
    slope = sum((gradient * direction).sum() for gradient, direction in zip(analytic, directions, strict=True))
    step, sides = 1e-6, []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, direction in zip(trainable, directions, strict=True):
                parameter += sign * step * direction
            sides.append(model(batch).square().sum())
            for parameter, direction in zip(trainable, directions, strict=True):
                parameter -= sign * step * direction
    torch.testing.assert_close((sides[0] - sides[1]) / (2 * step), slope, atol=1e-5, rtol=1e-5)


def test_gradient_checkpointing_changes_nothing(case):
    model = projector(case[0])
    batch = features()
    plain = gradients(model, batch)
    model.gradient_checkpointing = True
    for ours, reference in zip(gradients(model, batch), plain, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-5, rtol=1e-5)


def test_activations_are_made_again_bit_by_bit(case):
    model = projector(case[0])
    batch = features()
    recomputed = gradients(model, batch)
    with keep_all():
        kept = gradients(model, batch)
    assert all(torch.equal(*pair) for pair in zip(recomputed, kept, strict=True))


def test_backward_twice(case):
    model = projector(case[0])
    loss = model(features()).square().sum()
    loss.backward(retain_graph=True)
    once = [p.grad.clone() for p in model.parameters() if p.requires_grad]
    loss.backward()
    for gradient, parameter in zip(once, (p for p in model.parameters() if p.requires_grad), strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient)


COMPILED = sorted({*first_of_each().values(), "pargo-release", "pargo-window"})


@pytest.mark.parametrize("name", COMPILED)
def test_compiles_as_one_graph_in_bfloat16(name):
    torch._dynamo.reset()
    model = projector(CASES[name][0]).bfloat16()
    batch = features().bfloat16()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(batch), model(batch), atol=0.05, rtol=0.05)


def test_compiles_as_one_graph_with_checkpointing():
    torch._dynamo.reset()
    model = projector(CASES["pargo-cascade"][0])
    model.gradient_checkpointing = True
    compiled, batch = torch.compile(model, backend="aot_eager", fullgraph=True), features()
    for ours, reference in zip(gradients(model, batch, compiled), gradients(model, batch), strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", COMPILED)
def test_compiles_as_one_graph(name):
    torch._dynamo.reset()
    model = projector(CASES[name][0])
    batch = features()
    # "aot_eager" traces forward and backward without a C++ compiler
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(batch), model(batch), atol=1e-5, rtol=1e-4)
    plain = gradients(model, batch)
    for ours, reference in zip(gradients(model, batch, compiled), plain, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-4, rtol=1e-3)


def test_initialisation(case):
    model = build_projector(case[0], ProjectorShape(NUM_PATCHES, FEATURE_SIZE, 512))
    assert abs(model.output.weight.std().item() - 0.02) < 0.002
    assert (model.output.bias == 0).all()
    if hasattr(model, "query_tokens"):
        assert 0.01 < model.query_tokens.std().item() < 0.03
    if hasattr(model, "latents"):
        assert 0.7 < model.latents.std().item() < 1.3


def test_only_parameters_are_saved(case):
    model = projector(case[0])
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


def test_qformer_cross_attention_in_every_second_layer():
    model = projector(qformer_config(num_layers=5))
    assert [layer.cross_attention is not None for layer in model.layers] == [True, False, True, False, True]
    _, attentions = model(features(1), output_attentions=True)
    assert [len(attentions.self_attention), len(attentions.cross_attention)] == [5, 3]
    assert (attentions.cross_attention[0] > 0).all()


def test_resampler_attends_to_patches_and_latents_in_one_softmax():
    _, attentions = projector(resampler_config())(features(2), output_attentions=True)
    for own, cross in zip(attentions.self_attention, attentions.cross_attention, strict=True):
        torch.testing.assert_close(own.sum(-1) + cross.sum(-1), torch.ones(2, 2, 7))


@pytest.mark.parametrize("config", [linear_config(adjacent_patches=4), mlp_config()])
def test_adjacent_patches_in_raster_order(config):
    model = projector(config)
    batch = features(1)
    other = batch.clone()
    other[0, 5] += torch.randn(FEATURE_SIZE)
    assert (model(batch) != model(other)).any(-1)[0].tolist() == [False, True, False, False]
    windows = projector(config.model_copy(update={"group_shape": "window"}))
    assert (windows(batch) != windows(other)).any(-1)[0].tolist() == [True, False, False, False]


def test_c_abstractor_keeps_neighbourhoods():
    # without squeeze-and-excitation, which sees the whole image, a patch of one corner cannot reach the other
    model = projector(c_abstractor_config(depth=1), num_patches=144)
    for stage in (model.before, model.after):
        for block in stage.children():
            block.se = torch.nn.Identity()
    batch = torch.randn(1, 144, FEATURE_SIZE)
    other = batch.clone()
    other[0, 0] += 1 + torch.randn(FEATURE_SIZE)
    pooled = [
        model.before((x + model.position_embeddings).transpose(1, 2).unflatten(2, (12, 12))) for x in (batch, other)
    ]
    changed = (pooled[0] != pooled[1]).any(1)[0]
    assert changed[:2, :2].all()
    assert not changed[2:].any()
    assert not changed[:, 2:].any()


# Bad input ------------------------------------------------------------------------------------------------------------


def test_other_features_are_refused(case):
    with pytest.raises(ValueError, match=r"expects features \[batch, 16, 12\], got \[2, 16, 13\]"):
        projector(case[0])(torch.randn(2, NUM_PATCHES, 13))
    with pytest.raises(ValueError, match=r"expects features \[batch, 16, 12\], got \[2, 17, 12\]"):
        projector(case[0])(torch.randn(2, 17, FEATURE_SIZE))


def test_an_empty_batch_is_refused(case):
    with pytest.raises(ValueError, match="at least one image, got an empty batch"):
        projector(case[0])(features(0))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_features_that_are_not_finite_are_refused(case, value):
    batch = features(4)
    batch[2, 3, 4] = value
    with pytest.raises(ValueError, match=r"NaN or infinite values in image\(s\) \[2\] of the batch"):
        projector(case[0])(batch)


def test_large_half_features_are_taken(case):
    batch = torch.full((2, NUM_PATCHES, FEATURE_SIZE), 60000.0).half()  # their sum is no half
    assert projector(case[0])(batch).isfinite().all()


def test_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match="unknown projector 'conv'; choices: " + ", ".join(PROJECTORS.names)):
        build_projector(SimpleNamespace(name="conv"), SHAPE)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (pargo_config(5, 1), r"num_partial_tokens: 16 patches cannot be divided evenly by 5; choices: 1, 2, 4, 8, 16"),
        (mlp_config(adjacent_patches=3), r"adjacent_patches: 16 patches cannot be divided evenly by 3"),
        (
            pargo_config(8, 1, group_shape="window", window=(2, 2)),
            r"windows of 2 x 2 patches do not divide 16 patches into 8 groups; choices: \[1, 2\], \[2, 1\]",
        ),
        (mlp_config(group_shape="window", window=(1, 3)), r"windows of 1 x 3 patches do not divide 16 patches"),
        (pargo_config(num_heads=3), "num_heads: hidden_size 16 is not a multiple of 3"),
        (qformer_config(num_heads=3), "num_heads: hidden_size 16 is not a multiple of 3"),
        (c_abstractor_config(25), "num_tokens: 25 tokens cannot be pooled from 16 patches"),
    ],
)
def test_impossible_settings_are_refused(config, text):
    with pytest.raises(InputError, match=text):
        projector(config)


def test_grids_that_are_not_square():
    with pytest.raises(
        InputError, match="windows of 4 patches do not divide 8 patches into 2 groups; choices: group_shape 'raster'"
    ):
        projector(pargo_config(2, 1, group_shape="window"), num_patches=8)
    with pytest.raises(InputError, match="8 patches are no square grid"):
        projector(c_abstractor_config(), num_patches=8)
    assert projector(pargo_config(2, 1), num_patches=8).num_tokens == 3
