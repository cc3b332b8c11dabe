"""ParGo's projector: exactness against the dense reference, locality, variants and ablations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pargo.models.projectors.pargo import ParGo
from pargo.models.projectors.parts.neighbours import Neighbours, neighbour_mask
from pargo.models.projectors.parts.products import attend, attend_groups
from tests.helpers.dense_pargo import DenseParGo, cross_mask, self_mask
from tests.helpers.model_builders import FEATURE_SIZE, NUM_PATCHES, pargo_config, projector

GRID = [(16, 8, 3, 3), (16, 16, 0, 2), (36, 9, 4, 1), (16, 1, 1, 2), (64, 4, 2, 4), (64, 32, 3, 5), (16, 0, 4, 2)]
VARIANTS = [
    {"self_attention": "release"},
    {"self_attention": "cascade"},
    {"self_attention": "cascade", "cascade": "full"},
    {"self_attention": "cascade", "group_shape": "window"},
]


def masked_attention(query, key, value, mask: torch.Tensor) -> torch.Tensor:
    """Plain attention: query [B, T, H, d], key and value [B, S, H, d], bool mask [T, S] -> [B, T, H * d]."""
    scores = torch.einsum("bthd,bshd->bhts", query, key) / query.shape[-1] ** 0.5
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    return torch.einsum("bhts,bshd->bthd", weights, value).flatten(2)


def assert_same_attention(function, mask: torch.Tensor, batch: int = 3) -> None:
    """The function gives what masked attention gives, and the same gradients, to 1e-6 in float32."""
    torch.manual_seed(0)
    shapes = [(batch, size, 2, 8) for size in (mask.shape[0], mask.shape[1], mask.shape[1])]
    results = []
    inputs = [torch.randn(shape) for shape in shapes]
    direction = torch.randn(batch, mask.shape[0], 16)
    for attention in (function, lambda *tensors: masked_attention(*tensors, mask)):
        leaves = [tensor.clone().requires_grad_() for tensor in inputs]
        mixed = attention(*leaves)
        results.append([mixed.detach(), *torch.autograd.grad((mixed * direction).sum(), leaves)])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-6, rtol=1e-6)


@given(st.integers(1, 24), st.integers(1, 12))
@settings(max_examples=40)
def test_grouped_attention_equals_masked(num_groups, size):
    assert_same_attention(attend_groups, cross_mask(num_groups * size, num_groups, 0))


@given(st.integers(2, 40), st.data())
@settings(max_examples=40)
def test_neighbour_attention_equals_masked(num_tokens, data):
    span = data.draw(st.integers(2, num_tokens))
    assert_same_attention(Neighbours(span, num_tokens), neighbour_mask(span, num_tokens))


@given(st.integers(1, 12), st.integers(1, 24))
@settings(max_examples=40)
def test_attention_to_all_keys_equals_masked(num_queries, num_keys):
    assert_same_attention(attend, torch.ones(num_queries, num_keys, dtype=torch.bool))


@pytest.mark.parametrize("spread", [1, 4, 16])
@pytest.mark.parametrize("function", [attend, attend_groups])
def test_attention_in_bfloat16_rounds_its_scores_and_no_more(function, spread):
    """A score of size s is rounded by up to s / 256, and a probability by as much of itself."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, count, 4, 16, dtype=torch.float64).bfloat16() for count in (24, 48, 48))
    query = query * spread
    exact = function(query.double(), key.double(), value.double())
    error = (function(query, key, value).double() - exact).norm() / exact.norm()
    assert error < (1 + 2 * spread) / 256


def test_queries_of_one_batch_entry_stand_for_all():
    query, key = torch.randn(1, 4, 2, 8), torch.randn(3, 12, 2, 8)
    for function in (attend, attend_groups):
        assert torch.equal(function(query, key, key), function(query.expand(3, -1, -1, -1), key, key))


def values_and_gradients(module: torch.nn.Module, model: ParGo, features: torch.Tensor) -> list[torch.Tensor]:
    """Tokens, then the gradient of every parameter of the model."""
    model.zero_grad()
    tokens = module(features)
    (tokens * torch.linspace(-1, 1, tokens.numel(), dtype=tokens.dtype).view(tokens.shape)).sum().backward()
    return [tokens.detach()] + [p.grad.clone() for p in model.parameters() if p.requires_grad]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(variant.values()))
@pytest.mark.parametrize(("num_patches", "num_partial", "num_global", "num_layers"), GRID)
def test_equals_dense_in_float32(num_patches, num_partial, num_global, num_layers, variant):
    model = projector(pargo_config(num_partial, num_global, num_layers, **variant), num_patches=num_patches, std=0.1)
    features = torch.randn(3, num_patches, FEATURE_SIZE)
    ours = values_and_gradients(model, model, features)
    dense = values_and_gradients(DenseParGo(model), model, features)
    assert (ours[0] - dense[0]).abs().max() <= 1e-6
    # a gradient is a sum over all images and tokens: rounding is relative to the largest one (float64 below is exact)
    scale = max(reference.abs().max().item() for reference in dense[1:])
    for mine, reference in zip(ours[1:], dense[1:], strict=True):
        assert (mine - reference).abs().max() <= 1e-5 * scale


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(variant.values()))
def test_equals_dense_in_float64(variant):
    model = projector(pargo_config(32, 3, 5, **variant), num_patches=64).double()
    features = torch.randn(2, 64, FEATURE_SIZE, dtype=torch.float64)
    ours = values_and_gradients(model, model, features)
    for mine, reference in zip(ours, values_and_gradients(DenseParGo(model), model, features), strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(variant.values()))
def test_attentions_equal_dense(variant):
    model = projector(pargo_config(16, 3, 4, **variant), num_patches=64)
    features = torch.randn(2, 64, FEATURE_SIZE)
    tokens, attentions = model(features, output_attentions=True)
    assert torch.equal(tokens, model(features))
    record: list[torch.Tensor] = []
    DenseParGo(model)(features, record)
    for layer in range(4):
        own, cross = record[2 * layer : 2 * layer + 2]
        if variant["self_attention"] == "cascade":
            own[:, :, 16:] = 0  # global tokens skip self-attention
        torch.testing.assert_close(attentions.self_attention[layer], own, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(attentions.cross_attention[layer], cross, atol=1e-6, rtol=1e-5)


# Locality -------------------------------------------------------------------------------------------------------------


def changed_tokens(model: ParGo, patch: int) -> list[int]:
    model.double()  # so that no change is too small to see
    features = torch.randn(1, model.shape.num_patches, FEATURE_SIZE).double()
    other = features.clone()
    other[0, patch] = torch.randn(FEATURE_SIZE)
    with torch.no_grad():
        return (model(features) != model(other)).any(-1)[0].nonzero().flatten().tolist()


def entitled_tokens(model: ParGo, patch: int) -> list[int]:
    """By the masks alone: who sees the patch, or later someone who saw it."""
    config = model.config
    num_partial = config.num_partial_tokens
    sees = cross_mask(model.shape.num_patches, num_partial, config.num_global_tokens, model.groups.order)[:, patch]
    knows = torch.zeros_like(sees)
    for layer, span in enumerate(config.cascade_spans[: len(model.layers)]):
        mask = self_mask(span, num_partial, config.num_global_tokens)
        if config.self_attention == "cascade":
            mask[num_partial:, num_partial:] = torch.eye(config.num_global_tokens, dtype=torch.bool)
        knows = (mask & knows).any(1) | sees if layer else sees.clone()
    return knows.nonzero().flatten().tolist()


@given(
    num_partial=st.sampled_from([1, 2, 4, 8, 16]),
    num_global=st.integers(0, 3),
    num_layers=st.integers(1, 4),
    variant=st.sampled_from(VARIANTS),
    patch=st.integers(0, NUM_PATCHES - 1),
    depth=st.integers(1, 4),
)
@settings(max_examples=60)
def test_a_patch_changes_just_the_entitled_tokens_layer_by_layer(
    num_partial, num_global, num_layers, variant, patch, depth
):
    model = projector(pargo_config(num_partial, num_global, num_layers, **variant))
    del model.layers[depth:]
    changed = changed_tokens(model, patch)
    assert changed == entitled_tokens(model, patch)
    assert set(changed) >= set(range(num_partial, num_partial + num_global))


def test_one_layer_is_local():
    model = projector(pargo_config(8, 3, num_layers=1))
    for patch in (0, 7, 15):
        assert changed_tokens(model, patch) == [patch // 2, 8, 9, 10]


def test_cascade_spreads_by_its_masks():
    # what a token knows after layer 2 is what the tokens it sees in layer 2 knew after layer 1
    model = projector(pargo_config(8, 3, num_layers=3))
    del model.layers[2]
    assert changed_tokens(model, 4) == [2, 3, 8, 9, 10]
    model = projector(pargo_config(8, 3, num_layers=2))
    assert changed_tokens(model, 4) == list(range(11))


def test_a_window_is_local():
    model = projector(pargo_config(4, 1, num_layers=1, group_shape="window"))
    assert changed_tokens(model, 5) == [0, 4]
    assert changed_tokens(model, 6) == [1, 4]
    assert changed_tokens(model, 10) == [3, 4]


def changed_by_query(model: ParGo, token: int) -> list[int]:
    model.double()
    features = torch.randn(1, NUM_PATCHES, FEATURE_SIZE).double()
    before = model(features)
    with torch.no_grad():
        model.query_tokens[token] = torch.randn(model.query_tokens.shape[1])
    return (before != model(features)).any(-1)[0].nonzero().flatten().tolist()


def test_release_keeps_partial_and_global_tokens_apart():
    assert changed_by_query(projector(pargo_config(8, 3, self_attention="release")), 9) == [8, 9, 10]
    assert changed_by_query(projector(pargo_config(8, 3, self_attention="release")), 0) == list(range(8))


def test_global_tokens_of_the_cascade_do_not_meet():
    assert changed_by_query(projector(pargo_config(8, 3)), 9) == [9]


# Ablations of the paper's argument ------------------------------------------------------------------------------------


def test_partial_tokens_only():
    model = projector(pargo_config(8, 0, num_layers=1))
    assert model.num_tokens == 8
    assert changed_tokens(model, 4) == [2]


def test_global_tokens_only():
    model = projector(pargo_config(0, 5))
    assert model.num_tokens == 5
    assert changed_tokens(model, 4) == list(range(5))
    assert all(layer.self_attention is None for layer in model.layers)
    assert projector(pargo_config(0, 5, self_attention="release")).layers[0].self_attention is not None


def test_partial_and_global_tokens_without_a_cascade():
    model = projector(pargo_config(8, 3, num_layers=2, cascade="full"))
    assert all(layer.self_attention.neighbours is None for layer in model.layers)
    assert changed_tokens(model, 4) == list(range(11))


def test_one_to_one_layers_have_no_queries_and_keys():
    model = projector(pargo_config(8, 3, num_layers=3))
    assert [layer.self_attention.query is None for layer in model.layers] == [True, False, False]
    released = projector(pargo_config(8, 3, num_layers=3, self_attention="release"))
    saved = 2 * (16 * 16 + 16)
    assert released.num_parameters - model.num_parameters == saved
