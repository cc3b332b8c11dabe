"""ParGo's projector: partial tokens that see their own patches, global tokens that see all, side by side.

Two variants of self-attention (`self_attention` in the config): `cascade`, from the paper's figure, and `release`,
from the released code, which has no cascade.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pargo.config.models import PargoProjector
from pargo.errors import PargoError
from pargo.models.projectors.base import INITIALIZER_STD, Attentions, ProjectorBase
from pargo.models.projectors.layers import LAYER_NORM_EPS, Attention, FeedForward, attend, attend_grouped, spread_groups


def cascade_span(layer: int, num_layers: int, num_partial: int) -> int:
    """How many partial tokens a partial token sees in self-attention of a layer (0-based), itself included.

    The figure gives layer 1 one-to-one, layer 2 one-to-two, ..., last layer one-to-all. Doubling in between is a
    reading; so is that the last layer is one-to-all when it is the only one.
    """
    if not 0 <= layer < num_layers:
        raise ValueError(f"layer {layer} is not in 0..{num_layers - 1}")
    return num_partial if layer == num_layers - 1 else min(2**layer, num_partial)


def cascade_mask(layer: int, num_layers: int, num_partial: int) -> Tensor:
    """Self-attention mask of the partial tokens in a layer (0-based): bool [P, P], True where row sees column.

    A token sees a window of `cascade_span` neighbours in raster order, itself included: one more before it than
    after it when the span is even. At both ends the window is moved inside, so that all tokens see equally many.
    """
    span = cascade_span(layer, num_layers, num_partial)
    token = torch.arange(num_partial)
    first = (token - span // 2).clamp(0, num_partial - span).unsqueeze(1)
    return (token >= first) & (token < first + span)


class ParGoLayer(nn.Module):
    """Self-attention (partial perception), cross-attention (partial-global perception), feed-forward; post-LN."""

    def __init__(self, config: PargoProjector, feature_size: int) -> None:
        super().__init__()
        self.sizes = [config.num_partial_tokens, config.num_global_tokens]
        self.global_tokens_bypass = config.self_attention == "cascade"
        self.self_attention = Attention(config.hidden_size, config.num_heads)
        self.cross_attention = Attention(config.hidden_size, config.num_heads, feature_size)
        self.feed_forward = FeedForward(config.hidden_size, config.intermediate_size)

    def forward(
        self, hidden: Tensor, features: Tensor, mask: Tensor | None, output_attentions: bool = False
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """One layer.

        Args:
            hidden: [B, T, C], partial tokens first.
            features: [B, N, Dv].
            mask: bool [P, P] among partial tokens; None allows all.

        Returns:
            Hidden [B, T, C] and, if asked for, the probabilities of self-attention [B, H, T, T] (rows of bypassing
            global tokens are zero) and cross-attention [B, H, T, N].
        """
        hidden, self_parts = self._attend_to_tokens(hidden, mask)
        hidden, cross_parts = self._attend_to_patches(hidden, features)
        hidden = self.feed_forward(hidden)
        if not output_attentions:
            return hidden, None
        return hidden, (_block_diagonal(*self_parts), torch.cat([spread_groups(cross_parts[0]), cross_parts[1]], 2))

    def _attend_to_tokens(self, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Partial tokens among themselves; global tokens among themselves (release) or not at all (cascade)."""
        partial, others = hidden.split(self.sizes, 1)
        partial, probabilities = self.self_attention(partial, partial, mask)
        if self.global_tokens_bypass:
            other_probabilities = probabilities.new_zeros(*probabilities.shape[:2], self.sizes[1], self.sizes[1])
        else:
            others, other_probabilities = self.self_attention(others, others)
        return torch.cat([partial, others], 1), (probabilities, other_probabilities)

    def _attend_to_patches(self, hidden: Tensor, features: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Partial token i to the i-th group of patches [B, H, P, N / P], global tokens to all [B, H, G, N]."""
        query, key, value = self.cross_attention.project(hidden, features)
        partial, others = query.split(self.sizes, 2)
        partial, grouped = attend_grouped(partial, key, value)
        others, probabilities = attend(others, key, value)
        hidden = self.cross_attention.combine(hidden, torch.cat([partial, others], 2))
        return hidden, (grouped, probabilities)

    def flops(self, batch: int, num_patches: int) -> int:
        num_partial, num_global = self.sizes
        tokens = num_partial + num_global
        attending = num_partial if self.global_tokens_bypass else tokens
        pairs = num_partial**2 + (0 if self.global_tokens_bypass else num_global**2)
        seen = num_patches + num_global * num_patches  # all groups together are one pass over the patches
        return (
            self.self_attention.flops(batch * attending, batch * attending, batch * pairs)
            + self.cross_attention.flops(batch * tokens, batch * num_patches, batch * seen)
            + self.feed_forward.flops(batch * tokens)
        )


def _block_diagonal(first: Tensor, second: Tensor) -> Tensor:
    """[B, H, P, P] and [B, H, G, G] on the diagonal of [B, H, P + G, P + G]."""
    upper = nn.functional.pad(first, (0, second.shape[-1]))
    return torch.cat([upper, nn.functional.pad(second, (first.shape[-1], 0))], 2)


class ParGo(ProjectorBase):
    """Partial and global query tokens, in this order, through post-LN layers with cross-attention in every one.

    Raises:
        PargoError: the patches cannot be divided evenly among the partial tokens.
    """

    def __init__(self, config: PargoProjector, *, num_patches: int, feature_size: int, output_size: int) -> None:
        if num_patches % config.num_partial_tokens:
            raise PargoError(f"num_partial_tokens {config.num_partial_tokens} does not divide {num_patches} patches")
        super().__init__(
            num_patches=num_patches,
            feature_size=feature_size,
            hidden_size=config.hidden_size,
            output_size=output_size,
            num_tokens=config.num_tokens,
        )
        shape = (config.num_tokens, config.hidden_size)
        self.query_tokens = nn.Parameter(torch.randn(shape) * INITIALIZER_STD)
        self.position_embeddings = nn.Parameter(torch.randn(shape) * INITIALIZER_STD)
        self.norm = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.layers = nn.ModuleList(ParGoLayer(config, feature_size) for _ in range(config.num_layers))
        masks = None
        if config.self_attention == "cascade":
            arguments = (config.num_layers, config.num_partial_tokens)
            masks = torch.stack([cascade_mask(layer, *arguments) for layer in range(config.num_layers)])
        self.register_buffer("masks", masks, persistent=False)

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        hidden = self.norm(self.query_tokens + self.position_embeddings).expand(len(features), -1, -1)
        attentions = []
        for index, layer in enumerate(self.layers):
            mask = None if self.masks is None else self.masks[index]
            hidden, probabilities = layer(hidden, features, mask, output_attentions)
            attentions.append(probabilities)
        return hidden, Attentions(*zip(*attentions, strict=True)) if output_attentions else None

    def flops(self, batch: int = 1) -> int:
        return sum(layer.flops(batch, self.num_patches) for layer in self.layers) + self.output_flops(batch)
