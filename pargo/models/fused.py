"""Attention and RMSNorm of a Llama, each as one autograd function: the same numbers with fewer passes over memory.

On a CPU the matrix products of a small bf16 language model take about a third of a training step; the rest is memory
traffic of operations that are written and differentiated one by one. These two save about a tenth of the step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask
from transformers.models.llama.modeling_llama import LlamaRMSNorm, eager_attention_forward

ATTENTION = "fused_eager"


class FrozenRMSNorm(LlamaRMSNorm):
    """LlamaRMSNorm whose weight is not trained."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        return _RMSNorm.apply(hidden_states, self.weight, self.variance_epsilon)


def freeze_rms_norms(model: nn.Module) -> None:
    """Make every LlamaRMSNorm of a model a `FrozenRMSNorm`, in place; names and weights stay."""
    for module in model.modules():
        if type(module) is LlamaRMSNorm:
            module.__class__ = FrozenRMSNorm


class _RMSNorm(torch.autograd.Function):
    """weight * round(x / rms(x)) as in transformers; there is no gradient of the weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x32 = x.to(torch.float32, copy=True)
        scale = (torch.linalg.vecdot(x32, x32) / x.shape[-1]).add_(eps).rsqrt_().unsqueeze(-1)
        normalised = x32.mul_(scale).to(x.dtype)
        ctx.save_for_backward(normalised, scale, weight)
        return weight * normalised

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        normalised, scale, weight = ctx.saved_tensors
        inner, n32 = (gradient * weight).float(), normalised.float()
        along = torch.linalg.vecdot(inner, n32).div_(-n32.shape[-1]).unsqueeze(-1)
        return inner.addcmul_(n32, along).mul_(scale).to(gradient.dtype), None, None


class _Attention(torch.autograd.Function):
    """softmax(scale * Q K' + mask) V with grouped keys and values, which are not copied for each query head."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
        (batch, heads, length, size), kv_heads = query.shape, key.shape[1]
        # heads that share keys become rows of one matrix product
        rows = (query * scale).reshape(batch * kv_heads, -1, size)
        key, value = (x.reshape(batch * kv_heads, -1, size) for x in (key, value))
        scores = torch.bmm(rows, key.transpose(1, 2)).view(batch, heads, length, -1)
        if mask is not None:
            scores += mask
        probabilities = scores.softmax(-1).view(batch * kv_heads, -1, key.shape[1])
        ctx.save_for_backward(rows, key, value, probabilities)
        ctx.scale, ctx.shape = scale, (batch, heads, kv_heads, length)
        return torch.bmm(probabilities, value).view(batch, heads, length, size).transpose(1, 2).contiguous()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        rows, key, value, probabilities = ctx.saved_tensors
        batch, heads, kv_heads, length = ctx.shape
        gradient = gradient.transpose(1, 2).reshape(rows.shape)
        d_value = torch.bmm(probabilities.transpose(1, 2), gradient)
        d_scores = torch.bmm(gradient, value.transpose(1, 2))
        d_scores = torch._softmax_backward_data(d_scores, probabilities, -1, probabilities.dtype)
        d_query = torch.bmm(d_scores, key).mul_(ctx.scale).view(batch, heads, length, -1)
        d_key = torch.bmm(d_scores.transpose(1, 2), rows)
        return d_query, *(x.view(batch, kv_heads, -1, x.shape[-1]) for x in (d_key, d_value)), None, None


def fused_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention in transformers' interface; no probabilities are returned.

    Args:
        query: [B, H, T, d]; key, value: [B, K, S, d] with H a multiple of K.
        attention_mask: additive, [B or 1, 1, T, S].

    Returns:
        Mixed values [B, T, H, d] and None.
    """
    if dropout or value.shape[-1] != key.shape[-1]:
        return eager_attention_forward(module, query, key, value, attention_mask, scaling, dropout, **options)
    return _Attention.apply(query, key, value, attention_mask, scaling), None


AttentionInterface.register(ATTENTION, fused_attention)
AttentionMaskInterface.register(ATTENTION, eager_mask)


def fuse(model: PreTrainedModel) -> None:
    """Use both functions in a frozen model with eager attention, in place; norms other than Llama's stay."""
    freeze_rms_norms(model)
    model.set_attn_implementation(ATTENTION)
