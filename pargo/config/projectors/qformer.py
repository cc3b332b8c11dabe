"""The Q-Former of BLIP-2."""

from __future__ import annotations

from typing import ClassVar, Literal

from pargo.config.base import Positive
from pargo.config.projectors import ProjectorSettings
from pargo.config.projectors._checks import check_heads


class QFormerProjector(ProjectorSettings):
    """Learnable queries that all see all patches (BLIP-2)."""

    title: ClassVar[str] = "Q-Former"
    name: Literal["qformer"]
    num_tokens: Positive
    hidden_size: Positive
    num_layers: Positive
    num_heads: Positive
    intermediate_size: Positive
    cross_attention_interval: Positive = 2

    def num_image_tokens(self, num_patches: int) -> int:
        return self.num_tokens

    def check_patches(self, num_patches: int) -> None:
        check_heads(self.hidden_size, self.num_heads)
