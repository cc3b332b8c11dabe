"""LoRA in mixed precision: float32 weights for the optimizer, the language model's own precision for the products.

peft would compute float32 adapters in float32, which costs a small bf16 model on a CPU a seventh of its speed. Here
the weights are rounded at each use: the same numbers as bf16 weights with float32 master copies, without the copies.
"""

from __future__ import annotations

import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn


class _RoundedLinear(nn.Linear):
    """A bias-free Linear that computes in its input's precision, whatever that of its weight."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))


def compute_lora_in_model_precision(model: nn.Module) -> None:
    """Change all LoRA layers of linear layers in a model, in place; parameters and their names stay the same."""
    for layer in model.modules():
        if not isinstance(layer, LoraLayer):
            continue
        matrices = [matrix for part in (layer.lora_A, layer.lora_B) for matrix in part.values()]
        if all(type(matrix) is nn.Linear and matrix.bias is None for matrix in matrices):
            layer.cast_input_dtype_enabled = False
            for matrix in matrices:
                matrix.__class__ = _RoundedLinear
