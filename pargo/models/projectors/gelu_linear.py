"""GELU and a Linear in one step, which keeps only what goes into the GELU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class GeluLinear(nn.Linear):
    """Linear(GELU(x)) with the exact GELU; the backward pass makes the GELU again instead of keeping its result."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]. Without gradients x is overwritten: nothing else needs it."""
        # compilers fuse on their own; autocast would see nothing of what happens inside
        if torch.compiler.is_compiling() or torch.is_autocast_enabled(x.device.type):
            return F.linear(F.gelu(x), self.weight, self.bias)
        if not torch.is_grad_enabled():
            return F.linear(torch.ops.aten.gelu_(x), self.weight, self.bias)
        return _GeluLinear.apply(x, self.weight, self.bias)


class _GeluLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(F.gelu(x), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        d_weight = rows.t() @ F.gelu(x).flatten(0, -2)  # the wide result of the GELU is gone before the next is made
        d_x = gradient @ weight
        torch.ops.aten.gelu_backward.grad_input(d_x, x, grad_input=d_x)
        return d_x, d_weight, rows.sum(0)
