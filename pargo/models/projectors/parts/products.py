"""Attention to all keys and to groups of them, with backward passes of their own where PyTorch's are slow.

Queries, keys and values are [B, T, H, d]: batch, tokens, heads, size of a head. A batch of 1 stands for all images
while nothing of an image has been seen yet.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

FEW = 4  # elements in a group that are added one by one: a reduction over so few takes several times as long


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Every query [B or 1, T, H, d] attends to all keys [B, S, H, d]: mixed values [B, T, H * d].

    In half precision on a CPU scores are rounded before the softmax, as in BERT; elsewhere they may be kept in float32.
    """
    query = query.expand(len(key), -1, -1, -1)
    heads_first = (tensor.transpose(1, 2) for tensor in (query, key, value))
    # on GPUs the fused backward pass is the fastest there is; on CPUs it takes 2 to 4 times as long as products
    product = _Attention.apply if key.device.type == "cpu" else F.scaled_dot_product_attention
    return product(*heads_first).transpose(1, 2).flatten(2)


def attend_groups(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Query i of P attends to the i-th of P equal groups of consecutive keys alone.

    A product over the keys of the group instead of a masked product over all of them.

    Args:
        query: [B or 1, P, H, d]; key, value: [B, S, H, d] with S a multiple of P.

    Returns:
        Mixed values [B, P, H * d].
    """
    return _GroupAttention.apply(query, key, value).flatten(2)


def probabilities(query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
    """Probabilities [B, H, T, S] of attention of queries to keys, where the bool mask [T, S] allows."""
    scores = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) * query.shape[-1] ** -0.5
    return (scores if mask is None else scores.masked_fill(~mask, -float("inf"))).softmax(-1)


def group_probabilities(query: Tensor, key: Tensor) -> Tensor:
    """The probabilities [B, P, S / P, H] with which `attend_groups` mixes."""
    return ((query.unsqueeze(2) * _grouped(key, query)).sum(-1) * query.shape[-1] ** -0.5).softmax(2)


class _Attention(torch.autograd.Function):
    """Softmax attention, heads first: query [B, H, T, d], key and value [B, H, S, d] -> [B, H, T, d].

    Only the inputs are kept; the backward pass makes the probabilities again.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value)
        if query.element_size() > 2 or torch.compiler.is_compiling():
            return F.scaled_dot_product_attention(query, key, value)
        # In half precision PyTorch's attention on CPUs takes up to twice the time of its products. Those are made an
        # image at a time: the probabilities of all of them would be the largest tensor there is.
        mixed = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
        for image, (q, k, v) in enumerate(zip(query * query.shape[-1] ** -0.5, key, value, strict=True)):
            weights = (q.contiguous() @ k.contiguous().transpose(1, 2)).softmax(-1)
            mixed[image] = weights @ v.contiguous()
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # a product of heads that lie apart takes longer than copying them together first
        query, key, value, gradient = (x.contiguous() for x in (*ctx.saved_tensors, gradient))
        query = query * query.shape[-1] ** -0.5
        weights = (query @ key.transpose(2, 3)).softmax(-1)
        d_value = weights.transpose(2, 3) @ gradient
        d_weights = gradient @ value.transpose(2, 3)
        d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
        d_query = (d_scores @ key) * query.shape[-1] ** -0.5
        return d_query, d_scores.transpose(2, 3) @ query, d_value


class _GroupAttention(torch.autograd.Function):
    """As `attend_groups`: query [B or 1, P, H, d], key and value [B, S, H, d] -> [B, P, H, d].

    Only the inputs are kept; the backward pass makes the probabilities again.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value)
        return _sum(group_probabilities(query, key).unsqueeze(-1) * _grouped(value, query))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = ctx.saved_tensors
        weights, gradient = group_probabilities(query, key), gradient.unsqueeze(2)
        d_value = weights.unsqueeze(-1) * gradient
        d_weights = (gradient * _grouped(value, query)).sum(-1)
        d_scores = weights * (d_weights - (weights * d_weights).sum(2, keepdim=True)) * query.shape[-1] ** -0.5
        d_scores = d_scores.unsqueeze(-1)
        d_query = _sum(d_scores * _grouped(key, query)).sum_to_size(query.shape)
        return d_query, (d_scores * query.unsqueeze(2)).flatten(1, 2), d_value.flatten(1, 2)


def _grouped(x: Tensor, query: Tensor) -> Tensor:
    """Keys or values [B, S, H, d] -> [B, P, S / P, H, d], a group for each query."""
    return x.unflatten(1, (query.shape[1], -1))


def _sum(groups: Tensor) -> Tensor:
    """Over the group: [B, P, g, H, d] -> [B, P, H, d]."""
    return reduce(torch.add, groups.unbind(2)) if groups.shape[2] <= FEW else groups.sum(2)
