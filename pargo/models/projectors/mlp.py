"""The MLP of LLaVA-1.5 on groups of adjacent patches."""

from __future__ import annotations

from torch import Tensor, nn

from pargo.config.projectors.mlp import MLPProjector
from pargo.models.projectors.base import Attentions, linear_flops
from pargo.models.projectors.parts.adjacent import OnAdjacentPatches
from pargo.models.projectors.shape import ProjectorShape


class MLP(OnAdjacentPatches):
    """Linear, GELU, Linear."""

    def __init__(self, config: MLPProjector, shape: ProjectorShape) -> None:
        super().__init__(config, shape, hidden_size=config.hidden_size)
        self.input = nn.Linear(config.adjacent_patches * shape.feature_size, config.hidden_size)
        self.activation = nn.GELU()

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        hidden = self.activation(self.input(self.join(features)))
        return hidden, Attentions() if output_attentions else None

    def flops(self, batch: int = 1) -> int:
        return linear_flops(batch * self.num_tokens, self.input) + self.shared_flops(batch)
