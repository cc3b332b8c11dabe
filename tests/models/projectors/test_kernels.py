"""Linear layers that take fewer steps or keep less: the same numbers and gradients as PyTorch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pargo.models.projectors.parts.kernels import GeluLinear, Linear

ROUNDING = {"rtol": 2**-6, "atol": 2**-8}  # of bfloat16: strided inputs are added up in another order
KINDS = {Linear: lambda x: x, GeluLinear: F.gelu}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 76])
@pytest.mark.parametrize("contiguous", [True, False])
def test_equals_pytorchs(kind, dtype, rows, contiguous):
    torch.manual_seed(0)
    layer = kind(12, 7, dtype=dtype)
    whole = torch.randn(2, rows, 24, dtype=dtype)
    x = (whole[..., :12].contiguous() if contiguous else whole[..., ::2]).requires_grad_()
    given = torch.randn(2, rows, 7, dtype=dtype)
    if not contiguous:
        given = given.transpose(1, 2).contiguous().transpose(1, 2)
    close = ROUNDING if dtype == torch.bfloat16 else {}
    parameters = [x, layer.weight, layer.bias]
    ours = layer(x)
    plain = F.linear(KINDS[kind](x), layer.weight, layer.bias)
    torch.testing.assert_close(ours, plain, **close)
    for found, expected in zip(
        torch.autograd.grad(ours, parameters, given), torch.autograd.grad(plain, parameters, given), strict=True
    ):
        torch.testing.assert_close(found, expected, **close)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_gradients_the_numbers_are_the_same(kind, dtype):
    layer, x = kind(12, 7, dtype=dtype), torch.randn(3, 5, 12, dtype=dtype)
    expected = layer(x).detach()
    with torch.no_grad():
        assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("frozen", ["weight", "bias", "x"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_gradient_for_what_needs_none(frozen, dtype):
    layer, x = Linear(12, 7, dtype=dtype), torch.randn(3, 12, dtype=dtype, requires_grad=True)
    inputs = {"x": x, "weight": layer.weight, "bias": layer.bias}
    inputs.pop(frozen).requires_grad_(False)
    plain = torch.autograd.grad(F.linear(x, layer.weight, layer.bias).sum(), list(inputs.values()))
    ours = torch.autograd.grad(layer(x).sum(), list(inputs.values()))
    for found, expected in zip(ours, plain, strict=True):
        torch.testing.assert_close(found, expected)


def test_adapters_and_quantizers_leave_the_gelu_alone():
    """They look for nn.Linear: one put in this layer's place would drop the GELU."""
    assert not isinstance(GeluLinear(12, 7), torch.nn.Linear)


def test_names_and_initial_weights_are_those_of_a_linear():
    layers = []
    for kind in (torch.nn.Linear, GeluLinear):
        torch.manual_seed(0)
        layers.append(kind(12, 7).state_dict())
    assert list(layers[0]) == list(layers[1])
    assert all(torch.equal(layers[0][name], layers[1][name]) for name in layers[0])
