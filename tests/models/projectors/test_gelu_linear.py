"""GELU and a Linear in one step: the same numbers and gradients as one after the other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pargo.models.projectors.gelu_linear import GeluLinear


@pytest.mark.parametrize("rows", [1, 76])
@pytest.mark.parametrize("contiguous", [True, False])
def test_equals_gelu_and_linear(rows, contiguous):
    torch.manual_seed(0)
    layer = GeluLinear(12, 7, dtype=torch.float64)
    whole = torch.randn(2, rows, 24, dtype=torch.float64)
    x = (whole[..., :12].contiguous() if contiguous else whole[..., ::2]).requires_grad_()
    given = torch.randn(2, rows, 7, dtype=torch.float64)
    if not contiguous:
        given = given.transpose(1, 2).contiguous().transpose(1, 2)
    parameters = [x, layer.weight, layer.bias]
    ours = layer(x)
    plain = F.linear(F.gelu(x), layer.weight, layer.bias)
    torch.testing.assert_close(ours, plain)
    for found, expected in zip(
        torch.autograd.grad(ours, parameters, given), torch.autograd.grad(plain, parameters, given), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_without_gradients_the_numbers_are_the_same():
    layer, x = GeluLinear(12, 7), torch.randn(3, 5, 12)
    expected = layer(x).detach()
    with torch.no_grad():
        assert torch.equal(layer(x), expected)
