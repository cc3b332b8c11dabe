"""ParGo's projector: grouped attention against a dense reference, locality, variants."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pargo.errors import PargoError
from pargo.models.projectors.layers import attend
from pargo.models.projectors.pargo import ParGo, cascade_mask
from tests.models.builders import FEATURE_SIZE, NUM_PATCHES, pargo_config, projector

GRID = [(16, 8, 3, 3), (16, 16, 0, 2), (36, 9, 4, 1), (16, 1, 1, 2), (64, 4, 2, 4)]


def dense_masks(model: ParGo, variant: str, num_partial: int, num_global: int) -> tuple[list, torch.Tensor]:
    """Masks over all tokens, written down cell by cell: self-attention [T, T] per layer, cross-attention [T, N]."""
    tokens, patches, layers = num_partial + num_global, model.num_patches, len(model.layers)
    group = patches // num_partial
    cross = torch.zeros(tokens, patches, dtype=torch.bool)
    for token in range(tokens):
        for patch in range(patches):
            cross[token, patch] = token >= num_partial or patch // group == token
    own = []
    for layer in range(layers):
        mask = torch.zeros(tokens, tokens, dtype=torch.bool)
        mask[:num_partial, :num_partial] = True if variant == "release" else cascade_mask(layer, layers, num_partial)
        mask[num_partial:, num_partial:] = True
        own.append(mask)
    return own, cross


def dense_forward(model: ParGo, features: torch.Tensor, variant: str, num_partial: int) -> torch.Tensor:
    """ParGo with plain attention and masks over all tokens and patches."""
    own, cross = dense_masks(model, variant, num_partial, model.num_tokens - num_partial)
    x = F.layer_norm(features.float(), (model.feature_size,)).to(features.dtype)
    hidden = model.norm(model.query_tokens + model.position_embeddings).expand(len(x), -1, -1)
    for layer, mask in zip(model.layers, own, strict=True):
        attended = layer.self_attention(hidden, hidden, mask)[0]
        bypass = torch.arange(model.num_tokens)[:, None] >= num_partial if variant == "cascade" else torch.tensor(False)
        hidden = torch.where(bypass, hidden, attended)
        query, key, value = layer.cross_attention.project(hidden, x)
        hidden = layer.feed_forward(layer.cross_attention.combine(hidden, attend(query, key, value, cross)[0]))
    return model.output(hidden)


@pytest.mark.parametrize("variant", ["cascade", "release"])
@pytest.mark.parametrize(("num_patches", "num_partial", "num_global", "num_layers"), GRID)
def test_grouped_equals_dense(num_patches, num_partial, num_global, num_layers, variant):
    config = pargo_config(num_partial, num_global, num_layers, self_attention=variant)
    model = projector(config, num_patches=num_patches).double()
    features = torch.randn(2, num_patches, FEATURE_SIZE, dtype=torch.float64)
    weights = torch.randn(2, model.num_tokens, 24, dtype=torch.float64)
    results = []
    for forward in (model, lambda x: dense_forward(model, x, variant, num_partial)):
        model.zero_grad()
        tokens = forward(features)
        (tokens * weights).sum().backward()
        results.append([tokens.detach()] + [p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(results[0]) == len(results[1])
    for grouped, dense in zip(*results, strict=True):
        torch.testing.assert_close(grouped, dense, atol=1e-9, rtol=1e-9)


def changed_tokens(model: ParGo, patch: int) -> list[int]:
    features = torch.randn(1, NUM_PATCHES, FEATURE_SIZE)
    other = features.clone()
    other[0, patch] = torch.randn(FEATURE_SIZE)
    with torch.no_grad():
        return (model(features) != model(other)).any(-1)[0].nonzero().flatten().tolist()


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


def test_release_keeps_partial_and_global_tokens_apart():
    model = projector(pargo_config(8, 3, self_attention="release"))
    features = torch.randn(1, NUM_PATCHES, FEATURE_SIZE)
    before = model(features)
    with torch.no_grad():
        model.query_tokens[9] += 1
    changed = (before != model(features)).any(-1)[0].nonzero().flatten().tolist()
    assert changed == [8, 9, 10]


def test_cascade_global_tokens_do_not_meet():
    model = projector(pargo_config(8, 3))
    features = torch.randn(1, NUM_PATCHES, FEATURE_SIZE)
    before = model(features)
    with torch.no_grad():
        model.query_tokens[9] += 1
    assert (before != model(features)).any(-1)[0].nonzero().flatten().tolist() == [9]


@pytest.mark.parametrize("variant", ["cascade", "release"])
def test_attentions_are_probabilities_where_allowed(variant):
    model = projector(pargo_config(8, 3, self_attention=variant))
    features = torch.randn(2, NUM_PATCHES, FEATURE_SIZE)
    tokens, attentions = model(features, output_attentions=True)
    assert torch.equal(tokens, model(features))
    own, cross = dense_masks(model, variant, 8, 3)
    for layer, mask in enumerate(own):
        probabilities = attentions.self_attention[layer]
        assert probabilities.shape == (2, 2, 11, 11)
        assert (probabilities[..., :8, :].sum(-1) - 1).abs().max() < 1e-5
        if variant == "cascade":
            assert (probabilities[..., 8:, :] == 0).all()
            mask = mask.clone()
            mask[8:] = False
        assert torch.equal((probabilities > 0).all((0, 1)), mask)
    for probabilities, average in zip(attentions.cross_attention, attentions.cross_maps(), strict=True):
        assert probabilities.shape == (2, 2, 11, NUM_PATCHES)
        assert average.shape == (2, 11, NUM_PATCHES)
        assert (average.sum(-1) - 1).abs().max() < 1e-5
        assert torch.equal((probabilities > 0).all((0, 1)), cross)


def test_patches_must_divide():
    with pytest.raises(PargoError, match="num_partial_tokens 5 does not divide 16 patches"):
        projector(pargo_config(5, 1))
