"""Linear layers that take fewer steps, or keep less for the backward pass, than PyTorch's own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Linear(nn.Linear):
    """nn.Linear, whose bias costs nothing in bfloat16 on CPUs.

    PyTorch writes the bias into all rows of the result before the product is added to them; oneDNN adds it to a row
    while the row is at hand. The numbers are the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        if not _is_fused_elsewhere(x) and _has_free_bias(x):
            return _Linear.apply(x, self.weight, self.bias, False)
        return super().forward(x)


class GeluLinear(nn.Module):
    """Linear(GELU(x)) with the exact GELU; the backward pass makes the GELU again instead of keeping its result.

    No nn.Linear: adapters and quantizers would put one in its place, or read its input before the GELU.
    """

    def __init__(self, in_features: int, out_features: int, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        linear = nn.Linear(in_features, out_features, dtype=dtype)
        self.in_features, self.out_features = in_features, out_features
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]. Without gradients x is overwritten: nothing else needs it."""
        if _is_fused_elsewhere(x):
            return F.linear(F.gelu(x), self.weight, self.bias)
        if not torch.is_grad_enabled():
            return _linear(torch.ops.aten.gelu_(x), self.weight, self.bias)
        return _Linear.apply(x, self.weight, self.bias, True)


class _Linear(torch.autograd.Function):
    """Keeps x and the weight; with `gelu`, x goes through the GELU first."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, gelu: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.gelu = gelu
        return _linear(F.gelu(x) if gelu else x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        d_x = d_weight = d_bias = None
        if ctx.needs_input_grad[1]:
            # the wide result of the GELU is gone before the next is made
            d_weight = rows.t() @ (F.gelu(x) if ctx.gelu else x).flatten(0, -2)
        if ctx.needs_input_grad[0]:
            d_x = gradient @ weight
            if ctx.gelu:
                torch.ops.aten.gelu_backward.grad_input(d_x, x, grad_input=d_x)
        if ctx.needs_input_grad[2]:
            d_bias = rows.sum(0)
        return d_x, d_weight, d_bias, None


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if _has_free_bias(x):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return F.linear(x, weight, bias)


def _has_free_bias(x: Tensor) -> bool:
    """Whether oneDNN makes this product, bias included, in one step."""
    return (
        x.dtype == torch.bfloat16
        and x.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _is_fused_elsewhere(x: Tensor) -> bool:
    """Compilers fuse on their own; autocast would see nothing of what happens inside."""
    return torch.compiler.is_compiling() or torch.is_autocast_enabled(x.device.type)
