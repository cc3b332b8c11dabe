"""The Perceiver Resampler of Flamingo."""

from __future__ import annotations

from typing import ClassVar, Literal

from pargo.config.base import Positive
from pargo.config.projectors import ProjectorSettings


class ResamplerProjector(ProjectorSettings):
    """Perceiver Resampler (Flamingo): learnable latents that see all patches and each other in every layer."""

    title: ClassVar[str] = "Perceiver Resampler"
    name: Literal["resampler"]
    num_tokens: Positive
    num_layers: Positive = 6
    num_heads: Positive = 8
    head_size: Positive = 64

    def num_image_tokens(self, num_patches: int) -> int:
        return self.num_tokens
