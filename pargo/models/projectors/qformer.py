"""The Q-Former of BLIP-2, the global-attention projector that ParGo is compared with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pargo.config.models import QFormerProjector
from pargo.models.projectors.base import INITIALIZER_STD, Attentions, ProjectorBase
from pargo.models.projectors.layers import LAYER_NORM_EPS, Attention, FeedForward


class QFormerLayer(nn.Module):
    """Self-attention of all queries, cross-attention to all patches in every n-th layer, feed-forward; post-LN."""

    def __init__(self, config: QFormerProjector, feature_size: int, has_cross_attention: bool) -> None:
        super().__init__()
        self.self_attention = Attention(config.hidden_size, config.num_heads)
        self.cross_attention = (
            Attention(config.hidden_size, config.num_heads, feature_size) if has_cross_attention else None
        )
        self.feed_forward = FeedForward(config.hidden_size, config.intermediate_size)

    def forward(self, hidden: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Hidden [B, T, C], features [B, N, Dv] -> hidden, self- [B, H, T, T] and cross-attention [B, H, T, N]."""
        hidden, self_probabilities = self.self_attention(hidden, hidden)
        cross_probabilities = None
        if self.cross_attention is not None:
            hidden, cross_probabilities = self.cross_attention(hidden, features)
        return self.feed_forward(hidden), self_probabilities, cross_probabilities

    def flops(self, batch: int, tokens: int, patches: int) -> int:
        total = self.self_attention.flops(batch * tokens, batch * tokens, batch * tokens**2)
        if self.cross_attention is not None:
            total += self.cross_attention.flops(batch * tokens, batch * patches, batch * tokens * patches)
        return total + self.feed_forward.flops(batch * tokens)


class QFormer(ProjectorBase):
    """Learnable queries without position embeddings; layers 0, n, 2n, ... have cross-attention (BLIP-2: n = 2)."""

    def __init__(self, config: QFormerProjector, *, num_patches: int, feature_size: int, output_size: int) -> None:
        super().__init__(
            num_patches=num_patches,
            feature_size=feature_size,
            hidden_size=config.hidden_size,
            output_size=output_size,
            num_tokens=config.num_tokens,
        )
        self.query_tokens = nn.Parameter(torch.randn(config.num_tokens, config.hidden_size) * INITIALIZER_STD)
        self.norm = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.layers = nn.ModuleList(
            QFormerLayer(config, feature_size, has_cross_attention=index % config.cross_attention_interval == 0)
            for index in range(config.num_layers)
        )

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        hidden = self.norm(self.query_tokens).expand(len(features), -1, -1)
        self_attention, cross_attention = [], []
        for layer in self.layers:
            hidden, self_probabilities, cross_probabilities = layer(hidden, features)
            self_attention.append(self_probabilities)
            if cross_probabilities is not None:
                cross_attention.append(cross_probabilities)
        return hidden, Attentions(tuple(self_attention), tuple(cross_attention)) if output_attentions else None

    def flops(self, batch: int = 1) -> int:
        layers = sum(layer.flops(batch, self.num_tokens, self.num_patches) for layer in self.layers)
        return layers + self.output_flops(batch)
