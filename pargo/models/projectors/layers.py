"""BERT's post-LN attention and feed-forward blocks, as the query transformers (ParGo, Q-Former) use them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pargo.models.projectors.base import linear_flops

LAYER_NORM_EPS = 1e-12


class Attention(nn.Module):
    """Multi-head attention block: LayerNorm(x + Linear(softmax(Q K' / sqrt(d)) V)); all Linears have biases.

    `project`, one of the `attend` functions, then `combine`: the caller chooses who attends to whom in between.
    """

    def __init__(self, hidden_size: int, num_heads: int, context_size: int | None = None) -> None:
        super().__init__()
        self.num_heads = num_heads
        context_size = context_size or hidden_size
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(context_size, hidden_size)
        self.value = nn.Linear(context_size, hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, eps=LAYER_NORM_EPS)

    def project(self, hidden: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden [B, T, C], context [B, S, Cc] -> query [B, H, T, d], key and value [B, H, S, d]."""
        return self._heads(self.query(hidden)), self._heads(self.key(context)), self._heads(self.value(context))

    def combine(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        """Residual and norm: hidden [B, T, C], mixed values [B, H, T, d] -> [B, T, C]."""
        return self.norm(hidden + self.output(mixed.transpose(1, 2).flatten(2)))

    def forward(self, hidden: Tensor, context: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Every token attends to the context, where the mask [T, S] allows: ([B, T, C], probabilities [B, H, T, S])."""
        mixed, probabilities = attend(*self.project(hidden, context), mask)
        return self.combine(hidden, mixed), probabilities

    def flops(self, rows: int, context_rows: int, pairs: int) -> int:
        """Operations for `rows` tokens in all, `context_rows` context vectors in all and `pairs` of them attending."""
        hidden_size = self.query.out_features
        projections = linear_flops(rows, self.query, self.output) + linear_flops(context_rows, self.key, self.value)
        return projections + 2 * 2 * pairs * hidden_size

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention.

    Args:
        query: [B, H, T, d]; key, value: [B, H, S, d].
        mask: bool [T, S], True where attention is allowed; every row must allow something.

    Returns:
        Mixed values [B, H, T, d] and probabilities [B, H, T, S].
    """
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    probabilities = scores.softmax(-1)
    return probabilities @ value, probabilities


def attend_grouped(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Query i of P attends to the i-th of P contiguous groups of the S keys alone: a reshape instead of a mask.

    Args:
        query: [B, H, P, d]; key, value: [B, H, S, d] with S a multiple of P.

    Returns:
        Mixed values [B, H, P, d] and the probabilities within the groups [B, H, P, S / P].
    """
    num_groups = query.shape[2]
    key, value = (x.unflatten(2, (num_groups, -1)) for x in (key, value))
    mixed, probabilities = attend(query.unsqueeze(3), key, value)
    return mixed.squeeze(3), probabilities.squeeze(3)


def spread_groups(probabilities: Tensor) -> Tensor:
    """Probabilities within groups [B, H, P, g] -> over all S = P * g keys [B, H, P, S], zero outside the group."""
    return torch.diag_embed(probabilities.movedim(3, 2)).permute(0, 1, 3, 4, 2).flatten(3)


class FeedForward(nn.Module):
    """LayerNorm(x + Linear(GELU(Linear(x)))), the exact GELU."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.intermediate = nn.Linear(hidden_size, intermediate_size)
        self.activation = nn.GELU()
        self.output = nn.Linear(intermediate_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, eps=LAYER_NORM_EPS)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.norm(hidden + self.output(self.activation(self.intermediate(hidden))))

    def flops(self, rows: int) -> int:
        return linear_flops(rows, self.intermediate, self.output)
