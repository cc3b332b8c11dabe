"""GELU and a Linear in one step, some rows at a time, so that the wide result of the GELU never exists as a whole."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ROWS = 1024  # at a time: few enough to stay small, enough that the products run at full speed


class GeluLinear(nn.Linear):
    """Linear(GELU(x)) with the exact GELU; the backward pass makes the GELU again instead of keeping its result."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        # compilers fuse on their own; autocast would see nothing of what happens inside
        if torch.compiler.is_compiling() or torch.is_autocast_enabled(x.device.type):
            return F.linear(F.gelu(x), self.weight, self.bias)
        return _GeluLinear.apply(x, self.weight, self.bias)


class _GeluLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        result = x.new_empty(*x.shape[:-1], len(weight))
        for rows, out in zip(_rows(x), _rows(result), strict=True):
            torch.addmm(bias, F.gelu(rows), weight.t(), out=out)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        d_x, d_weight = torch.empty_like(x), torch.zeros_like(weight)
        for rows, d_rows, given in zip(_rows(x), _rows(d_x), _rows(gradient), strict=True):
            d_weight.addmm_(given.t(), F.gelu(rows))
            torch.ops.aten.gelu_backward.grad_input(given @ weight, rows, grad_input=d_rows)
        return d_x, d_weight, gradient.flatten(0, -2).sum(0)


def _rows(x: Tensor) -> tuple[Tensor, ...]:
    """x [..., C] as rows, `ROWS` at a time; views, if x is contiguous."""
    return x.reshape(-1, x.shape[-1]).split(ROWS)
