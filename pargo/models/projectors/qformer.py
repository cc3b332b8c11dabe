"""The Q-Former of BLIP-2, the global-attention projector that ParGo is compared with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pargo.config.projectors.qformer import QFormerProjector
from pargo.models.projectors.base import INITIALIZER_STD, Attentions, ProjectorBase, linear_flops
from pargo.models.projectors.parts.attention import LAYER_NORM_EPS, Attention, FeedForward
from pargo.models.projectors.parts.recompute import Recomputed
from pargo.models.projectors.shape import ProjectorShape


class QFormerLayer(nn.Module):
    """Self-attention of all queries, cross-attention to all patches in every n-th layer, feed-forward; post-LN."""

    def __init__(self, config: QFormerProjector, feature_size: int, has_cross_attention: bool) -> None:
        super().__init__()
        self.self_attention = Attention(config.hidden_size, config.num_heads)
        self.cross_attention = (
            Attention(config.hidden_size, config.num_heads, feature_size) if has_cross_attention else None
        )
        self.feed_forward = FeedForward(config.hidden_size, config.intermediate_size)

    def forward(
        self, hidden: Recomputed, features: Tensor, output_attentions: bool = False
    ) -> tuple[Recomputed, tuple[Tensor | None, Tensor | None]]:
        """Hidden [B or 1, T, C], features [B, N, Dv] -> hidden, and the probabilities if asked for.

        These are of self-attention [B or 1, H, T, T] and, in a layer that has it, cross-attention [B, H, T, N].
        """
        hidden, self_weights = self.self_attention(hidden, None, output_attentions)
        cross_weights = None
        if self.cross_attention is not None:
            hidden, cross_weights = self.cross_attention(hidden, features, output_attentions)
        return self.feed_forward(hidden), (self_weights, cross_weights)

    def flops(self, batch: int, seen_batch: int, tokens: int, patches: int) -> int:
        """Operations for `batch` images, of which the queries have already seen `seen_batch` (1: none yet)."""
        total = self.self_attention.flops(seen_batch * tokens, seen_batch * tokens, seen_batch * tokens**2)
        if self.cross_attention is not None:
            total += self.cross_attention.flops(batch * tokens, batch * patches, batch * tokens * patches)
            total -= linear_flops((batch - seen_batch) * tokens, self.cross_attention.query)
        return total + self.feed_forward.flops(batch * tokens)


class QFormer(ProjectorBase):
    """Learnable queries without position embeddings; layers 0, n, 2n, ... have cross-attention (BLIP-2: n = 2)."""

    def __init__(self, config: QFormerProjector, shape: ProjectorShape) -> None:
        super().__init__(config, shape, hidden_size=config.hidden_size)
        self.query_tokens = nn.Parameter(torch.randn(config.num_tokens, config.hidden_size) * INITIALIZER_STD)
        self.norm = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.layers = nn.ModuleList(
            QFormerLayer(config, shape.feature_size, has_cross_attention=index % config.cross_attention_interval == 0)
            for index in range(config.num_layers)
        )

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        # a batch of one until the first cross-attention, in layer 0: no query has seen an image yet
        hidden = Recomputed(lambda: self.norm(self.query_tokens).unsqueeze(0))
        self_attention, cross_attention = [], []
        for layer in self.layers:
            hidden, (self_weights, cross_weights) = self.run_layer(layer, hidden, features, output_attentions)
            if output_attentions:
                self_attention.append(self_weights.expand(len(features), -1, -1, -1))
            if cross_weights is not None:
                cross_attention.append(cross_weights)
        return hidden.value, Attentions(tuple(self_attention), tuple(cross_attention)) if output_attentions else None

    def flops(self, batch: int = 1) -> int:
        layers = sum(
            layer.flops(batch, batch if index else 1, self.num_tokens, self.shape.num_patches)
            for index, layer in enumerate(self.layers)
        )
        return layers + self.shared_flops(batch)
