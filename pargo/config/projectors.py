"""Projectors: from the patches of an image to the tokens of a language model. One class each, chosen by `name`."""

from __future__ import annotations

from math import isqrt
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pargo.config.base import Positive, Settings
from pargo.errors import InputError

Count = Annotated[int, Field(ge=0)]
GroupShape = Literal["raster", "window"]


class Grouping(Settings):
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


class PargoProjector(Grouping):
    """Partial and global tokens (the paper). `cascade` is the paper's figure, `release` the released code.

    Each of the partial tokens sees its own group of patches, the global tokens see all. Without one kind of tokens
    (0), with `cascade: full` or with the masks of the release it is an ablation of the paper's argument.
    """

    name: Literal["pargo"]
    num_partial_tokens: Count
    num_global_tokens: Count
    hidden_size: Positive
    num_layers: Positive
    num_heads: Positive
    intermediate_size: Positive
    self_attention: Literal["cascade", "release"] = Field(
        "cascade",
        description="cascade: of partial tokens alone, opening with depth; release: within each kind, in full",
    )
    cascade: Literal["doubling", "full"] | tuple[Positive, ...] = Field(
        "doubling",
        description="how many neighbours a partial token sees in each layer, itself included: doubling from one to all "
        "in the last layer, all in every layer, or a list of numbers",
    )

    @model_validator(mode="after")
    def _possible(self) -> PargoProjector:
        if not self.num_tokens:
            raise ValueError("num_partial_tokens and num_global_tokens are both 0: no token would leave the projector")
        if isinstance(self.cascade, tuple):
            if len(self.cascade) != self.num_layers:
                raise ValueError(f"cascade: {len(self.cascade)} numbers for {self.num_layers} layers (num_layers)")
            if max(self.cascade) > self.num_partial_tokens:
                raise ValueError(
                    f"cascade: {max(self.cascade)} neighbours, but there are {self.num_partial_tokens} partial tokens"
                )
        if self.self_attention == "release" and self.cascade != "doubling":
            raise ValueError("cascade: the masks of the release are the same in every layer; leave it out")
        return self

    @property
    def num_tokens(self) -> int:
        return self.num_partial_tokens + self.num_global_tokens

    @property
    def cascade_spans(self) -> tuple[int, ...]:
        """How many partial tokens, itself included, a partial token sees in self-attention of each layer.

        The paper's figure gives layer 1 one-to-one, layer 2 one-to-two, ..., last layer one-to-all. Doubling in
        between is a reading; so is that the last layer is one-to-all when it is the only one.
        """
        if isinstance(self.cascade, tuple):
            return self.cascade
        everyone, last = self.num_partial_tokens, self.num_layers - 1
        if self.cascade == "full" or self.self_attention == "release":
            return (everyone,) * self.num_layers
        return tuple(everyone if layer == last else min(2**layer, everyone) for layer in range(self.num_layers))

    def check_patches(self, num_patches: int) -> None:
        """Raise InputError, naming the field and the choices, when this cannot be built on so many patches."""
        check_heads(self.hidden_size, self.num_heads)
        if self.num_partial_tokens:
            check_divides("num_partial_tokens", self.num_partial_tokens, num_patches)
            if self.group_shape == "window":
                self.window_shape(num_patches, self.num_partial_tokens)


class QFormerProjector(Settings):
    """Learnable queries that all see all patches (BLIP-2)."""

    name: Literal["qformer"]
    num_tokens: Positive
    hidden_size: Positive
    num_layers: Positive
    num_heads: Positive
    intermediate_size: Positive
    cross_attention_interval: Positive = 2

    def check_patches(self, num_patches: int) -> None:
        """Raise InputError when this cannot be built."""
        check_heads(self.hidden_size, self.num_heads)


class ResamplerProjector(Settings):
    """Perceiver Resampler (Flamingo): learnable latents that see all patches and each other in every layer."""

    name: Literal["resampler"]
    num_tokens: Positive
    num_layers: Positive = 6
    num_heads: Positive = 8
    head_size: Positive = 64

    def check_patches(self, num_patches: int) -> None:
        """Any number of patches will do."""


class _AdjacentPatches(Grouping):
    """Settings of a projector that joins the channels of adjacent patches; 1 joins none."""

    adjacent_patches: Positive

    def num_groups(self, num_patches: int) -> int:
        return num_patches // self.adjacent_patches

    def check_patches(self, num_patches: int) -> None:
        """Raise InputError, naming the field and the choices, when this cannot be built on so many patches."""
        check_divides("adjacent_patches", self.adjacent_patches, num_patches)
        if self.group_shape == "window":
            self.window_shape(num_patches, self.num_groups(num_patches))


class LinearProjector(_AdjacentPatches):
    """One Linear on every patch, or on groups of adjacent patches (`linear` of the release: 4)."""

    name: Literal["linear"]
    adjacent_patches: Positive = 1


class MLPProjector(_AdjacentPatches):
    """Linear, GELU, Linear (LLaVA-1.5) on groups of adjacent patches (`mlp` of the release: 4)."""

    name: Literal["mlp"]
    adjacent_patches: Positive = 4
    hidden_size: Positive


class CAbstractorProjector(Settings):
    """Convolutions, average pooling to a square of tokens, convolutions (Honeybee's C-Abstractor)."""

    name: Literal["c_abstractor"]
    num_tokens: Positive = Field(144, description="a square number")
    hidden_size: Positive
    depth: Positive = Field(3, description="bottleneck blocks before the pooling, and after it")

    @model_validator(mode="after")
    def _square(self) -> CAbstractorProjector:
        if isqrt(self.num_tokens) ** 2 != self.num_tokens:
            raise ValueError(f"num_tokens: {self.num_tokens} is not a square number")
        return self

    def check_patches(self, num_patches: int) -> None:
        """Raise InputError when this cannot be built on so many patches."""
        if isqrt(num_patches) ** 2 != num_patches:
            raise InputError(f"num_patches: {num_patches} patches are no square grid, which convolutions need")
        if self.num_tokens > num_patches:
            raise InputError(f"num_tokens: {self.num_tokens} tokens cannot be pooled from {num_patches} patches")


Projector = Annotated[
    PargoProjector | QFormerProjector | ResamplerProjector | LinearProjector | MLPProjector | CAbstractorProjector,
    Field(discriminator="name"),
]


def image_tokens(projector: Projector, num_patches: int) -> int:
    """How many tokens stand for an image."""
    return projector.num_groups(num_patches) if isinstance(projector, _AdjacentPatches) else projector.num_tokens


def check_divides(field: str, parts: int, num_patches: int) -> None:
    """Raise InputError with the choices when the patches cannot be divided evenly."""
    if num_patches % parts:
        divisors = [str(n) for n in range(1, num_patches + 1) if num_patches % n == 0]
        raise InputError(
            f"{field}: {num_patches} patches cannot be divided evenly by {parts}; choices: {', '.join(divisors)}"
        )


def check_heads(hidden_size: int, num_heads: int) -> None:
    """Raise InputError when attention heads would not be of equal size."""
    if hidden_size % num_heads:
        raise InputError(f"num_heads: hidden_size {hidden_size} is not a multiple of {num_heads}")
