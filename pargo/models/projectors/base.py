"""What all projectors share: the frozen LayerNorm in front, the output Linear and its initialisation.

Every arm of a comparison gets the same input and the same output layer, so that only what is in between differs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pargo.errors import PargoError

INITIALIZER_STD = 0.02


@dataclass(frozen=True)
class Attentions:
    """Attention probabilities of a projector, layer by layer; T tokens, N patches, H heads.

    Attributes:
        self_attention: [B, H, T, T] per layer. A row of zeros is a token that skips self-attention in this layer.
        cross_attention: [B, H, T, N] per layer that has cross-attention (none for a projector without attention).
    """

    self_attention: tuple[Tensor, ...] = ()
    cross_attention: tuple[Tensor, ...] = ()

    def cross_maps(self) -> tuple[Tensor, ...]:
        """Cross-attention averaged over heads: [B, T, N] per layer; rows sum to 1."""
        return tuple(layer.mean(1) for layer in self.cross_attention)


class ProjectorBase(nn.Module, ABC):
    """Features [B, N, Dv] -> tokens [B, T, D] for the language model.

    In front is a LayerNorm over channels without learnable parameters: the release freezes BLIP's `ln_vision` there.

    Args:
        num_patches: N, patches of one image.
        feature_size: Dv, channels of a patch.
        hidden_size: width of what `encode` returns.
        output_size: D, width of the language model's embeddings.
        num_tokens: T, tokens per image.
    """

    def __init__(
        self, *, num_patches: int, feature_size: int, hidden_size: int, output_size: int, num_tokens: int
    ) -> None:
        super().__init__()
        self.num_patches = num_patches
        self.feature_size = feature_size
        self.num_tokens = num_tokens
        self.output = nn.Linear(hidden_size, output_size)
        nn.init.normal_(self.output.weight, std=INITIALIZER_STD)
        nn.init.zeros_(self.output.bias)

    @abstractmethod
    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        """Normalised features [B, N, Dv] -> hidden state [B, T, hidden_size] before the output Linear."""

    @abstractmethod
    def flops(self, batch: int = 1) -> int:
        """Floating point operations of the matrix products of one forward pass (a multiply-add counts as two)."""

    def forward(self, features: Tensor, output_attentions: bool = False) -> Tensor | tuple[Tensor, Attentions]:
        """Features [B, N, Dv] of any float type -> tokens [B, T, D] in the type of the parameters.

        With `output_attentions` also the probabilities of every layer.
        """
        if features.shape[1:] != (self.num_patches, self.feature_size):
            raise PargoError(
                f"projector expects features [batch, {self.num_patches}, {self.feature_size}], "
                f"got {list(features.shape)}: they were made with another vision tower or image size"
            )
        normalised = F.layer_norm(features.float(), (self.feature_size,)).to(self.output.weight.dtype)
        hidden, attentions = self.encode(normalised, output_attentions)
        tokens = self.output(hidden)
        return (tokens, attentions) if output_attentions else tokens

    @torch.no_grad()
    def scale_output(self, token_rms: float) -> None:
        """Scale a new output Linear so that the tokens of random features have this root mean square.

        Image tokens several times larger than the text's embeddings give a frozen language model exploding gradients
        in the first steps, from which training recovers late. This initialisation is this project's choice.
        """
        tokens = self(torch.randn(16, self.num_patches, self.feature_size))
        self.output.weight *= token_rms / tokens.square().mean().sqrt()

    def output_flops(self, batch: int) -> int:
        return linear_flops(batch * self.num_tokens, self.output)


def linear_flops(rows: int, *layers: nn.Linear) -> int:
    """Operations of Linear layers on `rows` vectors, biases not counted."""
    return sum(2 * rows * layer.in_features * layer.out_features for layer in layers)
