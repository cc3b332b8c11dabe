"""ParGo's projector: partial tokens that see their own patches, global tokens that see all, side by side.

Two variants of self-attention (`self_attention` in the config): `cascade`, from the paper's figure, and `release`,
from the released code, which has no cascade. Neither builds a mask over the patches: a partial token's attention is a
product over its own group.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pargo.config.projectors.pargo import PargoProjector
from pargo.models.projectors.base import INITIALIZER_STD, Attentions, ProjectorBase, linear_flops
from pargo.models.projectors.parts.attention import (
    LAYER_NORM_EPS,
    Attention,
    FeedForward,
    NeighbourAttention,
)
from pargo.models.projectors.parts.groups import PatchGroups
from pargo.models.projectors.parts.products import attend, attend_groups, group_probabilities, probabilities
from pargo.models.projectors.parts.recompute import Recomputed
from pargo.models.projectors.shape import ProjectorShape


class ParGoLayer(nn.Module):
    """Self-attention (partial perception), cross-attention (partial-global perception), feed-forward; post-LN.

    Args:
        config: of the projector.
        feature_size: channels of a patch.
        span: neighbours, itself included, that a partial token sees in self-attention.
    """

    def __init__(self, config: PargoProjector, feature_size: int, span: int) -> None:
        super().__init__()
        self.num_partial, self.num_global = config.num_partial_tokens, config.num_global_tokens
        self.kinds = [slice(0, self.num_partial), slice(self.num_partial, config.num_tokens)]
        # kinds of tokens that meet their own kind: in the cascade, global tokens bypass self-attention
        is_cascade = config.self_attention == "cascade"
        meeting = self.kinds[:1] if is_cascade else self.kinds
        self.meeting = [kind for kind in meeting if kind.stop > kind.start]
        heads = config.hidden_size, config.num_heads
        self.self_attention: Attention | None = None
        if self.meeting:
            self.self_attention = (
                NeighbourAttention(*heads, span, self.num_partial) if is_cascade else Attention(*heads)
            )
        self.cross_attention = Attention(*heads, feature_size)
        self.feed_forward = FeedForward(config.hidden_size, config.intermediate_size)

    def forward(
        self, hidden: Recomputed, features: Tensor, output_attentions: bool = False
    ) -> tuple[Recomputed, tuple[Tensor | None, Tensor | None]]:
        """One layer.

        Args:
            hidden: [B or 1, T, C], partial tokens first.
            features: [B, N, Dv], group by group.

        Returns:
            Hidden [B, T, C] and, if asked for, the probabilities of self-attention [B or 1, H, T, T] (rows of tokens
            that skip it are zero) and cross-attention [B, H, T, N].
        """
        hidden, self_weights = self._attend_to_tokens(hidden, output_attentions)
        hidden, cross_weights = self._attend_to_patches(hidden, features, output_attentions)
        return self.feed_forward(hidden), (self_weights, cross_weights)

    def _attend_to_tokens(self, hidden: Recomputed, output_attentions: bool) -> tuple[Recomputed, Tensor | None]:
        """Tokens to their own kind, where they meet it."""
        batch, count = hidden.value.shape[:2]
        weights = None
        if output_attentions:
            weights = hidden.value.new_zeros(batch, self.cross_attention.num_heads, count, count)
        if self.self_attention is None:
            return hidden, weights
        parts = []
        for kind in self.kinds:
            part = hidden.part(kind)
            if kind in self.meeting:
                part, found = self.self_attention(part, None, output_attentions)
                if weights is not None:
                    weights[:, :, kind, kind] = found
            parts.append(part)
        return Recomputed.join(parts), weights

    def _attend_to_patches(
        self, hidden: Recomputed, features: Tensor, output_attentions: bool
    ) -> tuple[Recomputed, Tensor | None]:
        """Partial token i to the i-th group of patches, global tokens to all."""
        query, key, value = self.cross_attention.project(hidden, features)
        partial, others = (query[:, kind] for kind in self.kinds)
        mixed, weights = [], []
        if self.num_partial:
            mixed.append(attend_groups(partial, key, value))
            if output_attentions:
                weights.append(_spread(group_probabilities(partial, key)))
        if self.num_global:
            mixed.append(attend(others, key, value))
            if output_attentions:
                weights.append(probabilities(others, key))
        hidden = self.cross_attention.combine(hidden, torch.cat(mixed, 1))
        return hidden, torch.cat(weights, 2) if output_attentions else None

    def flops(self, batch: int, seen_batch: int, num_patches: int) -> int:
        """Operations for `batch` images, of which the tokens have already seen `seen_batch` (1: none yet)."""
        tokens, patches = batch * (self.num_partial + self.num_global), batch * num_patches
        seen = patches * (self.num_global + (self.num_partial > 0))  # all groups together are one pass over the patches
        unseen = tokens - tokens // batch * seen_batch  # queries that nobody has to compute anew
        total = self.cross_attention.flops(tokens, patches, seen) + self.feed_forward.flops(tokens)
        total -= linear_flops(unseen, self.cross_attention.query)
        if self.self_attention is None:
            return total
        for kind in self.meeting:
            rows = seen_batch * (kind.stop - kind.start)
            total += self.self_attention.flops(rows, rows, rows * (kind.stop - kind.start))
        return total


def _spread(weights: Tensor) -> Tensor:
    """Probabilities within groups [B, P, g, H] -> over all S = P * g patches [B, H, P, S], zero outside the group."""
    return torch.diag_embed(weights.permute(0, 3, 2, 1)).permute(0, 1, 3, 4, 2).flatten(3)


class ParGo(ProjectorBase):
    """Partial and global query tokens, in this order, through post-LN layers with cross-attention in every one."""

    def __init__(self, config: PargoProjector, shape: ProjectorShape) -> None:
        super().__init__(config, shape, hidden_size=config.hidden_size)
        tokens = config.num_tokens, config.hidden_size
        self.query_tokens = nn.Parameter(torch.randn(tokens) * INITIALIZER_STD)
        self.position_embeddings = nn.Parameter(torch.randn(tokens) * INITIALIZER_STD)
        self.norm = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.layers = nn.ModuleList(ParGoLayer(config, shape.feature_size, span) for span in config.cascade_spans)
        self.groups = PatchGroups(config, shape.num_patches, config.num_partial_tokens)

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        features = self.groups(features)
        # a batch of one until the first cross-attention: no token has seen an image yet
        queries = (self.query_tokens + self.position_embeddings).unsqueeze(0)
        hidden = Recomputed(lambda: self.norm(queries))
        attentions = []
        for layer in self.layers:
            hidden, weights = self.run_layer(layer, hidden, features, output_attentions)
            attentions.append(weights)
        return hidden.value, self._attentions(attentions, len(features)) if output_attentions else None

    def _attentions(self, layers: list[tuple[Tensor, Tensor]], batch: int) -> Attentions:
        """For every image, with the patches in raster order."""
        self_attention, cross_attention = zip(*layers, strict=True)
        return Attentions(
            tuple(weights.expand(batch, -1, -1, -1) for weights in self_attention),
            tuple(self.groups.to_raster(weights) for weights in cross_attention),
        )

    def flops(self, batch: int = 1) -> int:
        layers = sum(
            layer.flops(batch, 1 if i == 0 else batch, self.shape.num_patches) for i, layer in enumerate(self.layers)
        )
        return layers + self.shared_flops(batch)
