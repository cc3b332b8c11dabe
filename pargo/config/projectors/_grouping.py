"""Settings of projectors that divide the patches into equal groups."""

from __future__ import annotations

from math import isqrt
from typing import Literal, Self

from pydantic import Field, model_validator

from pargo.config.base import Positive
from pargo.config.projectors import ProjectorSettings
from pargo.config.projectors._checks import check_divides
from pargo.errors import InputError

GroupShape = Literal["raster", "window"]


class Grouping(ProjectorSettings):
    """Settings of a projector that divides the patches into equal groups."""

    group_shape: GroupShape = Field(
        "raster", description="a group of patches follows each other in raster order, or is a rectangular window"
    )
    window: tuple[Positive, Positive] | None = Field(
        None, description="rows and columns of a window; by default the most square one that tiles the grid"
    )

    @model_validator(mode="after")
    def _window_is_used(self) -> Grouping:
        if self.window is not None and self.group_shape != "window":
            raise ValueError(f"window {list(self.window)} needs group_shape 'window', not {self.group_shape!r}")
        return self

    def num_groups(self, num_patches: int) -> int:
        """Into how many groups so many patches are divided: one for each token."""
        return self.num_image_tokens(num_patches)

    def as_by_default(self, num_patches: int) -> Self:
        """Without `window` where it is the one that is taken anyway."""
        bare = self.model_copy(update={"window": None})
        groups = self.num_groups(num_patches)
        return bare if self.window and self.window == bare.window_shape(num_patches, groups) else self

    def window_shape(self, num_patches: int, num_groups: int) -> tuple[int, int]:
        """Rows and columns of the windows that divide a square grid of patches into equal groups.

        Raises:
            InputError: the grid is not square, or the window does not tile it in this number of groups.
        """
        side = isqrt(num_patches)
        size = num_patches // num_groups
        shapes = [(rows, size // rows) for rows in range(1, side + 1) if size % rows == 0 and size // rows <= side]
        tiling = [shape for shape in shapes if side % shape[0] == side % shape[1] == 0 and side**2 == num_patches]
        chosen = self.window or min(tiling, key=lambda shape: (abs(shape[0] - shape[1]), shape[0]), default=None)
        if chosen not in tiling:
            raise InputError(
                f"window: windows of {' x '.join(map(str, chosen)) if chosen else size} patches do not divide "
                f"{num_patches} patches into {num_groups} groups; choices: "
                + (", ".join(f"[{rows}, {columns}]" for rows, columns in tiling) or "group_shape 'raster'")
            )
        return chosen


class AdjacentPatches(Grouping):
    """Settings of a projector that joins the channels of adjacent patches; 1 joins none."""

    adjacent_patches: Positive

    def num_image_tokens(self, num_patches: int) -> int:
        return num_patches // self.adjacent_patches

    def in_words(self) -> str:
        return self.title if self.adjacent_patches == 1 else f"{self.title} on {self.adjacent_patches} patches"

    def check_patches(self, num_patches: int) -> None:
        """Raise InputError, naming the field and the choices, when this cannot be built on so many patches."""
        check_divides("adjacent_patches", self.adjacent_patches, num_patches)
        if self.group_shape == "window":
            self.window_shape(num_patches, self.num_groups(num_patches))
