"""The MLP projector (LLaVA-1.5's two Linears) on groups of adjacent patches, as in the release's `mlp` baseline."""

from __future__ import annotations

from torch import Tensor, nn

from pargo.config.models import MLPProjector
from pargo.errors import PargoError
from pargo.models.projectors.base import Attentions, ProjectorBase, linear_flops


class MLP(ProjectorBase):
    """Linear, GELU, Linear on the concatenated channels of patches that follow each other in raster order.

    Raises:
        PargoError: the patches cannot be divided evenly into groups.
    """

    def __init__(self, config: MLPProjector, *, num_patches: int, feature_size: int, output_size: int) -> None:
        if num_patches % config.adjacent_patches:
            raise PargoError(f"adjacent_patches {config.adjacent_patches} does not divide {num_patches} patches")
        super().__init__(
            num_patches=num_patches,
            feature_size=feature_size,
            hidden_size=config.hidden_size,
            output_size=output_size,
            num_tokens=num_patches // config.adjacent_patches,
        )
        self.input = nn.Linear(config.adjacent_patches * feature_size, config.hidden_size)
        self.activation = nn.GELU()

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        grouped = features.reshape(len(features), self.num_tokens, -1)
        return self.activation(self.input(grouped)), Attentions() if output_attentions else None

    def flops(self, batch: int = 1) -> int:
        return linear_flops(batch * self.num_tokens, self.input) + self.output_flops(batch)
