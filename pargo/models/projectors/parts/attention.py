"""Attention blocks of the projectors: who may see whom decides which products are made, not a mask over all of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pargo.models.projectors.base import linear_flops
from pargo.models.projectors.parts.kernels import GeluLinear, Linear
from pargo.models.projectors.parts.neighbours import Neighbours, neighbour_mask
from pargo.models.projectors.parts.products import attend, probabilities
from pargo.models.projectors.parts.recompute import Recomputed

LAYER_NORM_EPS = 1e-12


class Attention(nn.Module):
    """BERT's post-LN attention block: LayerNorm(x + Linear(mixed values)); all Linears have biases.

    Args:
        hidden_size: C, of the tokens.
        num_heads: H.
        context_size: channels of what is attended to; by default that of the tokens.
    """

    def __init__(self, hidden_size: int, num_heads: int, context_size: int | None = None) -> None:
        super().__init__()
        context_size = context_size or hidden_size
        self.num_heads = num_heads
        self.query = Linear(hidden_size, hidden_size)
        self.key = Linear(context_size, hidden_size)
        # It adds the same to all scores of a query, so it has no effect and no gradient but rounding noise, which AdamW
        # would blow up to full steps. It is there because BERT's checkpoints have it.
        nn.init.zeros_(self.key.bias).requires_grad_(False)
        self.value = Linear(context_size, hidden_size)
        self.output = Linear(hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, eps=LAYER_NORM_EPS)

    def project(self, hidden: Recomputed, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden [B, T, C], context [B, S, Cc] (by default hidden) -> query [B, T, H, d], key, value [B, S, H, d]."""
        shape = (self.num_heads, -1)
        with hidden.read() as tokens:
            context = tokens if context is None else context
            return (
                self.query(tokens).unflatten(2, shape),
                self.key(context).unflatten(2, shape),
                self.value(context).unflatten(2, shape),
            )

    def combine(self, hidden: Recomputed, mixed: Tensor) -> Recomputed:
        """Residual and norm: hidden and mixed values [B, T, C] -> [B, T, C]."""
        before = hidden.value + self.output(mixed)
        return Recomputed(lambda: self.norm(before))

    def forward(
        self, hidden: Recomputed, context: Tensor | None = None, output_attentions: bool = False
    ) -> tuple[Recomputed, Tensor | None]:
        """Every token attends to the whole context, by default to all tokens.

        Returns:
            Hidden [B, T, C] and, if asked for, the probabilities [B, H, T, S].
        """
        query, key, value = self.project(hidden, context)
        weights = probabilities(query, key) if output_attentions else None
        return self.combine(hidden, attend(query, key, value)), weights

    def flops(self, rows: int, context_rows: int, pairs: int) -> int:
        """Operations for `rows` tokens in all, `context_rows` context vectors in all and `pairs` of them attending."""
        projections = linear_flops(rows, self.query, self.output) + linear_flops(context_rows, self.key, self.value)
        return projections + 2 * 2 * pairs * self.query.out_features


class NeighbourAttention(Attention):
    """Self-attention of P tokens to `span` of their neighbours, themselves included, in the cheapest exact form.

    One-to-one needs values but no queries and keys, one-to-all no mask, and what is between only products over blocks.
    """

    def __init__(self, hidden_size: int, num_heads: int, span: int, num_tokens: int) -> None:
        super().__init__(hidden_size, num_heads)
        self.span = span
        if span == 1:
            self.query = self.key = None  # type: ignore[assignment]
        self.neighbours = Neighbours(span, num_tokens) if 1 < span < num_tokens else None

    def forward(
        self, hidden: Recomputed, context: None = None, output_attentions: bool = False
    ) -> tuple[Recomputed, Tensor | None]:
        """Hidden [B, P, C] -> hidden and, if asked for, the probabilities [B, H, P, P]."""
        batch, count = hidden.value.shape[:2]
        weights = None
        if self.span == 1:
            with hidden.read() as tokens:
                mixed = self.value(tokens)
            if output_attentions:
                weights = torch.eye(count, dtype=mixed.dtype, device=mixed.device).expand(batch, self.num_heads, -1, -1)
        elif self.neighbours is not None:
            query, key, value = self.project(hidden)
            mixed = self.neighbours(query, key, value)
            if output_attentions:
                weights = probabilities(query, key, neighbour_mask(self.span, count).to(mixed.device))
        else:
            return super().forward(hidden, context, output_attentions)
        return self.combine(hidden, mixed), weights

    def flops(self, rows: int, context_rows: int, pairs: int) -> int:
        if self.span == 1:
            return linear_flops(rows, self.value, self.output)
        if self.neighbours is None:
            return super().flops(rows, context_rows, pairs)
        batch = rows // self.neighbours.num_tokens
        return super().flops(rows, context_rows, 0) + self.neighbours.flops(batch, self.query.out_features)


class FeedForward(nn.Module):
    """LayerNorm(x + Linear(GELU(Linear(x)))), the exact GELU."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.intermediate = Linear(hidden_size, intermediate_size)
        self.output = GeluLinear(intermediate_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, eps=LAYER_NORM_EPS)

    def forward(self, hidden: Recomputed) -> Recomputed:
        """[B, T, C] -> [B, T, C]."""
        with hidden.read() as tokens:
            inner = self.intermediate(tokens)
        before = hidden.value + self.output(inner)
        return Recomputed(lambda: self.norm(before))

    def flops(self, rows: int) -> int:
        return linear_flops(rows, self.intermediate, self.output)
