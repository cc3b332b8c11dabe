"""One Linear on every patch, or on groups of adjacent patches."""

from __future__ import annotations

from torch import Tensor

from pargo.config.projectors.linear import LinearProjector
from pargo.models.projectors.base import Attentions
from pargo.models.projectors.parts.adjacent import OnAdjacentPatches
from pargo.models.projectors.shape import ProjectorShape


class LinearOnPatches(OnAdjacentPatches):
    """One Linear."""

    def __init__(self, config: LinearProjector, shape: ProjectorShape) -> None:
        super().__init__(config, shape, hidden_size=config.adjacent_patches * shape.feature_size)

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        return self.join(features), Attentions() if output_attentions else None

    def flops(self, batch: int = 1) -> int:
        return self.shared_flops(batch)
