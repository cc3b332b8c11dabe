"""Which patches form a group: consecutive ones in raster order, or rectangular windows of the square grid."""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor, nn

from pargo.config.projectors._grouping import Grouping


def window_order(num_patches: int, window: tuple[int, int]) -> Tensor:
    """The raster indices of the patches, window by window: int64 [N].

    Windows and the patches inside a window are each in raster order, so patches `g * i` to `g * i + g - 1` of the
    result (g = rows x columns of a window) are the i-th group.

    Args:
        num_patches: N, a square number.
        window: rows and columns of a window; both divide the side of the grid.
    """
    side = isqrt(num_patches)
    rows, columns = window
    grid = torch.arange(num_patches).view(side // rows, rows, side // columns, columns)
    return grid.transpose(1, 2).flatten()


class PatchGroups(nn.Module):
    """Puts patches that form a group side by side: features [B, N, Dv] in raster order -> [B, N, Dv] group by group.

    Args:
        grouping: settings that say which patches form a group.
        num_patches: N.
        num_groups: their number; 0 (nobody reads groups) leaves the patches as they are.
    """

    def __init__(self, grouping: Grouping, num_patches: int, num_groups: int) -> None:
        super().__init__()
        windows = grouping.group_shape == "window" and num_groups > 0
        self.window = grouping.window_shape(num_patches, num_groups) if windows else (1, 1)
        self.order: Tensor | None
        order = torch.empty(num_patches, dtype=torch.long) if windows else None
        self.register_buffer("order", order, persistent=False)
        self.init_non_persistent_buffers()

    def init_non_persistent_buffers(self) -> None:
        """Fill the order; transformers calls it (by timm's name for it) after it made the model without memory."""
        if self.order is not None:
            self.order.copy_(window_order(len(self.order), self.window))

    def forward(self, features: Tensor) -> Tensor:
        return features if self.order is None else features[:, self.order]

    def to_raster(self, weights: Tensor) -> Tensor:
        """Weights [..., N] of patches group by group -> of patches in raster order."""
        return weights if self.order is None else weights[..., self.order.argsort()]
