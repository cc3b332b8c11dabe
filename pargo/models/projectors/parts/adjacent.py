"""Groups of adjacent patches, joined: the only control that linear projectors have of the number of tokens.

The release's baselines join 4 in raster order.
"""

from __future__ import annotations

from torch import Tensor

from pargo.config.projectors._grouping import AdjacentPatches
from pargo.models.projectors.base import ProjectorBase
from pargo.models.projectors.parts.groups import PatchGroups
from pargo.models.projectors.shape import ProjectorShape


class OnAdjacentPatches(ProjectorBase):
    """Gives `join`: the channels of each group of adjacent patches in one vector."""

    def __init__(self, config: AdjacentPatches, shape: ProjectorShape, *, hidden_size: int) -> None:
        super().__init__(config, shape, hidden_size=hidden_size)
        self.groups = PatchGroups(config, shape.num_patches, self.num_tokens)

    def join(self, features: Tensor) -> Tensor:
        """[B, N, Dv] -> [B, T, N / T * Dv]."""
        return self.groups(features).reshape(len(features), self.num_tokens, -1)
