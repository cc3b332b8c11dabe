"""ParGo as BERT would compute it: full score matrices over all tokens, and masks of zeros and minus infinity.

The reference for exactness in the tests and for speed in the benchmark. It shares the weights of a `ParGo`; nothing of
it is used by the project itself.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pargo.models.projectors.pargo import ParGo, ParGoLayer
from pargo.models.projectors.parts.attention import Attention, FeedForward


def cross_mask(num_patches: int, num_partial: int, num_global: int, order: Tensor | None = None) -> Tensor:
    """bool [T, N]: partial token i sees the i-th of P groups of patches, a global token sees all."""
    size = num_patches // num_partial if num_partial else 0
    order = torch.arange(num_patches) if order is None else order
    mask = torch.zeros(num_partial + num_global, num_patches, dtype=torch.bool)
    for token in range(num_partial):
        mask[token, order[token * size : (token + 1) * size]] = True
    mask[num_partial:] = True
    return mask


def self_mask(span: int | None, num_partial: int, num_global: int) -> Tensor:
    """bool [T, T]: a partial token sees `span` neighbours (None: all), a global token the global tokens.

    The window of neighbours holds one more token before than after when it is even, and is moved inside at both ends.
    """
    mask = torch.zeros(num_partial + num_global, num_partial + num_global, dtype=torch.bool)
    span = num_partial if span is None else span
    for token in range(num_partial):
        first = min(max(token - span // 2, 0), num_partial - span)
        mask[token, first : first + span] = True
    mask[num_partial:, num_partial:] = True
    return mask


class DenseParGo(nn.Module):
    """Features [B, N, Dv] -> tokens [B, T, D].

    A `record` gets what the softmax of each layer's self- and cross-attention gave, in this order.
    """

    def __init__(self, projector: ParGo) -> None:
        super().__init__()
        self.projector = projector
        config = projector.config
        sizes = config.num_partial_tokens, config.num_global_tokens
        self.bypass = config.self_attention == "cascade"
        masks = [self_mask(span if self.bypass else None, *sizes) for span in config.cascade_spans]
        like = projector.query_tokens
        self.is_global = (torch.arange(sum(sizes), device=like.device) >= sizes[0]).unsqueeze(1)
        self.self_masks = [_additive(mask, like) for mask in masks]
        self.cross_mask = _additive(cross_mask(projector.shape.num_patches, *sizes, projector.groups.order), like)
        self.self_attentions = nn.ModuleList(_with_scores(layer, config.hidden_size) for layer in projector.layers)

    def forward(self, features: Tensor, record: list[Tensor] | None = None) -> Tensor:
        projector = self.projector
        features = projector.input_norm(features)
        queries = projector.query_tokens.expand(len(features), -1, -1)
        hidden = projector.norm(queries + projector.position_embeddings)
        for layer, attention, mask in zip(projector.layers, self.self_attentions, self.self_masks, strict=True):
            attended = _attend(attention, hidden, hidden, mask, record)
            hidden = torch.where(self.is_global, hidden, attended) if self.bypass else attended
            hidden = _attend(layer.cross_attention, hidden, features, self.cross_mask, record)
            hidden = _feed_forward(layer.feed_forward, hidden)
        return _linear(projector.output, hidden)


def _attend(block: Attention, hidden: Tensor, context: Tensor, mask: Tensor, record: list[Tensor] | None) -> Tensor:
    """BERT's attention block: [B, T, C]; the probabilities [B, H, T, S] go to the record."""
    query, key, value = (
        _linear(layer, x).view(*x.shape[:2], block.num_heads, -1).permute(0, 2, 1, 3)
        for layer, x in ((block.query, hidden), (block.key, context), (block.value, context))
    )
    scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(query.shape[-1]) + mask
    weights = scores.softmax(-1)
    if record is not None:
        record.append(weights)
    mixed = torch.matmul(weights, value).permute(0, 2, 1, 3).contiguous()
    return block.norm(_linear(block.output, mixed.view(hidden.shape)) + hidden)


def _feed_forward(block: FeedForward, hidden: Tensor) -> Tensor:
    inner = F.gelu(_linear(block.intermediate, hidden))
    return block.norm(_linear(block.output, inner) + hidden)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """As PyTorch does it, whatever the layer would do."""
    return F.linear(x, layer.weight, layer.bias)


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(~mask.to(like.device), -torch.inf)


def _with_scores(layer: ParGoLayer, hidden_size: int) -> Attention:
    """The layer's self-attention, with weights where ParGo needs none: nobody sees what these compute."""
    block = layer.self_attention
    if block is not None and block.query is not None:
        return block
    whole = Attention(hidden_size, layer.cross_attention.num_heads).to(layer.cross_attention.value.weight)
    if block is not None:
        whole.value, whole.output, whole.norm = block.value, block.output, block.norm
    return whole
