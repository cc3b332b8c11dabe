"""Who sees whom, as truth tables: neighbours among partial tokens, groups and windows of patches."""

from __future__ import annotations

import itertools
from math import isqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pargo.models.projectors.parts.groups import PatchGroups, window_order
from pargo.models.projectors.parts.neighbours import Neighbours, neighbour_mask
from tests.helpers.dense_pargo import cross_mask, self_mask
from tests.helpers.model_builders import pargo_config, projector


def table(*rows: str) -> torch.Tensor:
    return torch.tensor([[character == "x" for character in row] for row in rows])


def test_one_to_one():
    assert torch.equal(neighbour_mask(1, 4), torch.eye(4, dtype=torch.bool))


def test_one_to_two():
    assert torch.equal(neighbour_mask(2, 4), table("xx..", "xx..", ".xx.", "..xx"))


def test_one_to_four():
    assert torch.equal(neighbour_mask(4, 6), table("xxxx..", "xxxx..", "xxxx..", ".xxxx.", "..xxxx", "..xxxx"))


@pytest.mark.parametrize(
    ("layers", "cascade", "spans"),
    [
        (1, "doubling", (12,)),
        (2, "doubling", (1, 12)),
        (4, "doubling", (1, 2, 4, 12)),
        (6, "doubling", (1, 2, 4, 8, 12, 12)),
        (3, "full", (12, 12, 12)),
        (3, (1, 5, 7), (1, 5, 7)),
    ],
)
def test_spans_of_the_layers(layers, cascade, spans):
    config = pargo_config(12, 1, layers, cascade=cascade)
    assert config.cascade_spans == spans
    assert [layer.self_attention.span for layer in projector(config, num_patches=144).layers] == list(spans)


@given(st.integers(1, 40), st.data())
def test_blocks_hold_just_the_neighbours(num_tokens, data):
    span = data.draw(st.integers(1, num_tokens))
    blocks = Neighbours(span, num_tokens)
    seen = torch.zeros(num_tokens, num_tokens, dtype=torch.bool)
    tokens = torch.arange(1, num_tokens + 1).view(1, -1, 1, 1)  # 0: no token
    for block, (keys, hidden) in enumerate(zip(blocks.around(tokens).flatten(2)[0], blocks.hidden, strict=True)):
        for row, out_of_sight in enumerate(hidden):
            assert keys[~out_of_sight].all()
            seen[block * len(hidden) + row, keys[~out_of_sight] - 1] = True
    assert torch.equal(seen, neighbour_mask(span, num_tokens))
    assert torch.equal(seen, self_mask(span, num_tokens, 0))
    assert (seen.sum(1) == span).all()
    assert seen.diagonal().all()


@given(st.integers(1, 30), st.data())
def test_masks_only_open(num_tokens, data):
    narrow, wide = sorted(data.draw(st.lists(st.integers(1, num_tokens), min_size=2, max_size=2)))
    assert (neighbour_mask(narrow, num_tokens) <= neighbour_mask(wide, num_tokens)).all()


def test_windows_in_raster_order():
    assert window_order(16, (2, 2)).tolist() == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
    assert window_order(16, (1, 2)).tolist() == list(range(16))
    assert window_order(16, (4, 1)).view(4, 4).tolist() == torch.arange(16).view(4, 4).T.tolist()


SIDES_AND_GROUPS = [(side, groups) for side in range(1, 9) for groups in range(1, side**2 + 1) if side**2 % groups == 0]


@pytest.mark.parametrize(("side", "num_groups"), SIDES_AND_GROUPS)
def test_default_window_is_the_most_square_that_tiles(side, num_groups):
    num_patches = side**2
    groups = PatchGroups(pargo_config(num_groups, 1, group_shape="window"), num_patches, num_groups)
    rows, columns = groups.window
    assert rows * columns * num_groups == num_patches
    tiling = [
        (r, c)
        for r, c in itertools.product(range(1, side + 1), repeat=2)
        if r * c * num_groups == num_patches and side % r == side % c == 0
    ]
    assert abs(rows - columns) == min(abs(r - c) for r, c in tiling)
    where = groups.order.view(num_groups, -1)
    assert sorted(where.flatten().tolist()) == list(range(num_patches))
    for patches in where.tolist():
        assert len({patch // side for patch in patches}) == rows
        assert len({patch % side for patch in patches}) == columns


@pytest.mark.parametrize("variant", ["cascade", "release"])
@pytest.mark.parametrize("group_shape", ["raster", "window"])
@pytest.mark.parametrize(
    ("num_patches", "num_partial", "num_global", "num_layers"),
    [(16, 8, 3, 3), (16, 16, 1, 2), (36, 9, 4, 1), (16, 1, 1, 2), (64, 16, 2, 4), (36, 4, 0, 3), (16, 0, 3, 2)],
)
def test_probabilities_are_positive_just_where_allowed(
    num_patches, num_partial, num_global, num_layers, variant, group_shape
):
    config = pargo_config(num_partial, num_global, num_layers, self_attention=variant, group_shape=group_shape)
    model = projector(config, num_patches=num_patches)
    _, attentions = model(torch.randn(2, num_patches, model.shape.feature_size), output_attentions=True)
    allowed = cross_mask(num_patches, num_partial, num_global, model.groups.order)
    assert allowed[:num_partial].sum() == (num_patches if num_partial else 0)
    for span, own, cross in zip(
        config.cascade_spans, attentions.self_attention, attentions.cross_attention, strict=True
    ):
        mask = self_mask(span, num_partial, num_global)
        if variant == "cascade":
            mask[num_partial:] = False  # global tokens skip self-attention
        for weights, expected in ((own, mask), (cross, allowed)):
            assert torch.equal((weights > 0).all((0, 1)), expected)
            assert torch.equal((weights > 0).any(0).any(0), expected)
            assert ((weights.sum(-1) - expected.any(1).float()).abs() < 1e-5).all()


def test_windows_are_squares_of_the_image():
    model = projector(pargo_config(4, 0, 1, group_shape="window"), num_patches=36)
    _, attentions = model(torch.randn(1, 36, model.shape.feature_size), output_attentions=True)
    maps = (attentions.cross_attention[0][0, 0] > 0).view(4, isqrt(36), isqrt(36))
    assert maps[1].nonzero().tolist() == [[row, column] for row in range(3) for column in range(3, 6)]
