"""The cascade as truth tables: who sees whom among partial tokens, layer by layer."""

from __future__ import annotations

import itertools

import pytest
import torch

from pargo.models.projectors.pargo import cascade_mask, cascade_span


def table(*rows: str) -> torch.Tensor:
    return torch.tensor([[character == "x" for character in row] for row in rows])


def test_first_layer_is_one_to_one():
    assert torch.equal(cascade_mask(0, 3, 4), torch.eye(4, dtype=torch.bool))


def test_second_layer_is_one_to_two():
    assert torch.equal(cascade_mask(1, 3, 4), table("xx..", "xx..", ".xx.", "..xx"))


def test_third_of_four_layers_is_one_to_four():
    expected = table("xxxx..", "xxxx..", "xxxx..", ".xxxx.", "..xxxx", "..xxxx")
    assert torch.equal(cascade_mask(2, 4, 6), expected)


@pytest.mark.parametrize("num_layers", [1, 2, 5])
def test_last_layer_is_one_to_all(num_layers):
    assert cascade_mask(num_layers - 1, num_layers, 7).all()


@pytest.mark.parametrize("num_partial", [1, 2, 3, 5, 8, 20])
@pytest.mark.parametrize("num_layers", [1, 2, 3, 4, 6])
def test_mask_equals_brute_force(num_layers, num_partial):
    for layer in range(num_layers):
        span = cascade_span(layer, num_layers, num_partial)
        assert span == (num_partial if layer == num_layers - 1 else min(2**layer, num_partial))
        mask = cascade_mask(layer, num_layers, num_partial)
        for token in range(num_partial):
            # the window of `span` neighbours around the token, moved inside at the ends
            first = max(0, token - span // 2)
            first = min(first, num_partial - span)
            assert mask[token].nonzero().flatten().tolist() == list(range(first, first + span))
            assert mask[token, token]


def test_masks_only_open():
    masks = [cascade_mask(layer, 5, 20) for layer in range(5)]
    assert all((later | earlier).equal(later) for earlier, later in itertools.pairwise(masks))


def test_layer_out_of_range():
    with pytest.raises(ValueError, match=r"layer 3 is not in 0\.\.2"):
        cascade_span(3, 3, 4)
