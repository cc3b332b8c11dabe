"""What a config can say of a vision tower."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pargo.config.sources import LocalSource


class TimmSource(LocalSource):
    """A vision tower's weights as timm publishes them, with the mean and std that it states for them."""

    kind: Literal["timm"]
    architecture: str = Field(description="timm model name")
    tag: str = Field(description="which of the architecture's published weights: what follows the dot in timm's name")
    weights: str = Field(description="a .safetensors file, also of a whole CLIP of open_clip; relative to the project")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.weights,)
