"""Linear projectors on groups of adjacent patches: `linear` (one Linear) and `mlp` (LLaVA-1.5: Linear, GELU, Linear).

Joining adjacent patches is their only control of the number of tokens; the release's baselines join 4 in raster order.
"""

from __future__ import annotations

from torch import Tensor, nn

from pargo.config.projectors import LinearProjector, MLPProjector
from pargo.models.projectors.base import Attentions, ProjectorBase, linear_flops
from pargo.models.projectors.groups import PatchGroups


class _OnAdjacentPatches(ProjectorBase):
    """Gives `join`: the channels of each group of adjacent patches in one vector."""

    def __init__(
        self,
        config: LinearProjector | MLPProjector,
        *,
        num_patches: int,
        feature_size: int,
        hidden_size: int,
        output_size: int,
    ) -> None:
        super().__init__(
            config,
            num_patches=num_patches,
            feature_size=feature_size,
            hidden_size=hidden_size,
            output_size=output_size,
            num_tokens=config.num_groups(num_patches),
        )
        self.groups = PatchGroups(config, num_patches, self.num_tokens)

    def join(self, features: Tensor) -> Tensor:
        """[B, N, Dv] -> [B, T, N / T * Dv]."""
        return self.groups(features).reshape(len(features), self.num_tokens, -1)


class LinearOnPatches(_OnAdjacentPatches):
    """One Linear."""

    def __init__(self, config: LinearProjector, *, num_patches: int, feature_size: int, output_size: int) -> None:
        super().__init__(
            config,
            num_patches=num_patches,
            feature_size=feature_size,
            hidden_size=config.adjacent_patches * feature_size,
            output_size=output_size,
        )

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        return self.join(features), Attentions() if output_attentions else None

    def flops(self, batch: int = 1) -> int:
        return self.output_flops(batch)


class MLP(_OnAdjacentPatches):
    """Linear, GELU, Linear."""

    def __init__(self, config: MLPProjector, *, num_patches: int, feature_size: int, output_size: int) -> None:
        super().__init__(
            config,
            num_patches=num_patches,
            feature_size=feature_size,
            hidden_size=config.hidden_size,
            output_size=output_size,
        )
        self.input = nn.Linear(config.adjacent_patches * feature_size, config.hidden_size)
        self.activation = nn.GELU()

    def encode(self, features: Tensor, output_attentions: bool = False) -> tuple[Tensor, Attentions | None]:
        hidden = self.activation(self.input(self.join(features)))
        return hidden, Attentions() if output_attentions else None

    def flops(self, batch: int = 1) -> int:
        return linear_flops(batch * self.num_tokens, self.input) + self.output_flops(batch)
