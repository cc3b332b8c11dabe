"""The Perceiver Resampler of Flamingo: learnable latents attend to all patches and to each other at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pargo.config.projectors.resampler import ResamplerProjector
from pargo.models.projectors.base import Attentions, ProjectorBase, linear_flops
from pargo.models.projectors.parts.products import attend, probabilities
from pargo.models.projectors.shape import ProjectorShape

EXPANSION = 4  # of the feed-forward block


class ResamplerLayer(nn.Module):
    """Pre-LN attention of the latents to (patches, latents), then a feed-forward block; no biases but the norms'."""

    def __init__(self, config: ResamplerProjector, feature_size: int) -> None:
        super().__init__()
        inner = config.num_heads * config.head_size
        self.num_heads = config.num_heads
        self.feature_norm = nn.LayerNorm(feature_size)
        self.latent_norm = nn.LayerNorm(feature_size)
        self.query = nn.Linear(feature_size, inner, bias=False)
        self.key_value = nn.Linear(feature_size, 2 * inner, bias=False)
        self.output = nn.Linear(inner, feature_size, bias=False)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(feature_size),
            nn.Linear(feature_size, EXPANSION * feature_size, bias=False),
            nn.GELU(),
            nn.Linear(EXPANSION * feature_size, feature_size, bias=False),
        )

    def forward(
        self, latents: Tensor, features: Tensor, output_attentions: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Latents [B, T, Dv], features [B, N, Dv] -> latents and, if asked for, probabilities [B, H, T, N + T]."""
        normed = self.latent_norm(latents)
        context = torch.cat([self.feature_norm(features), normed], 1)
        query = self.query(normed).unflatten(2, (self.num_heads, -1))
        key, value = (part.unflatten(2, (self.num_heads, -1)) for part in self.key_value(context).chunk(2, -1))
        weights = probabilities(query, key) if output_attentions else None
        latents = latents + self.output(attend(query, key, value))
        return latents + self.feed_forward(latents), weights

    def flops(self, batch: int, tokens: int, patches: int) -> int:
        """Operations for `batch` images."""
        context = patches + tokens
        return (
            linear_flops(batch * tokens, self.query, self.output, self.feed_forward[1], self.feed_forward[3])
            + linear_flops(batch * context, self.key_value)
            + 2 * 2 * batch * tokens * context * self.query.out_features
        )


class Resampler(ProjectorBase):
    """Latents drawn from N(0, 1), as wide as the patches, through `num_layers` layers and a final LayerNorm."""

    def __init__(self, config: ResamplerProjector, shape: ProjectorShape) -> None:
        super().__init__(config, shape, hidden_size=shape.feature_size)
        self.latents = nn.Parameter(torch.randn(config.num_tokens, shape.feature_size))
        self.layers = nn.ModuleList(ResamplerLayer(config, shape.feature_size) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(shape.feature_size)

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        latents = self.latents.expand(len(features), -1, -1)
        attentions = []
        for layer in self.layers:
            latents, weights = self.run_layer(layer, latents, features, output_attentions)
            attentions.append(weights)
        return self.norm(latents), self._attentions(attentions) if output_attentions else None

    def _attentions(self, layers: list[Tensor]) -> Attentions:
        """Splits each layer's softmax over patches and latents into the part on the latents and that on the patches."""
        cross, own = zip(
            *(weights.split([self.shape.num_patches, self.num_tokens], 3) for weights in layers), strict=True
        )
        return Attentions(own, cross)

    def flops(self, batch: int = 1) -> int:
        layers = sum(layer.flops(batch, self.num_tokens, self.shape.num_patches) for layer in self.layers)
        return layers + self.shared_flops(batch)
