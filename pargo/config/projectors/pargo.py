"""ParGo, the paper's projector."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pargo.config.base import Positive
from pargo.config.projectors._checks import check_divides, check_heads
from pargo.config.projectors._grouping import Grouping

Count = Annotated[int, Field(ge=0)]


class PargoProjector(Grouping):
    """Partial and global tokens (the paper). `cascade` is the paper's figure, `release` the released code.

    Each of the partial tokens sees its own group of patches, the global tokens see all. Without one kind of tokens
    (0), with `cascade: full` or with the masks of the release it is an ablation of the paper's argument.
    """

    title: ClassVar[str] = "ParGo"
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

    def num_image_tokens(self, num_patches: int) -> int:
        return self.num_tokens

    def num_groups(self, num_patches: int) -> int:
        return self.num_partial_tokens

    def in_words(self) -> str:
        if not self.num_global_tokens:
            return "ParGo, partial tokens only"
        if not self.num_partial_tokens:
            return "ParGo, global tokens only"
        if self.self_attention == "release":
            return "ParGo, masks of the release"
        return "ParGo without cascade" if self.cascade == "full" else "ParGo"

    def check_patches(self, num_patches: int) -> None:
        """Raise InputError, naming the field and the choices, when this cannot be built on so many patches."""
        check_heads(self.hidden_size, self.num_heads)
        if self.num_partial_tokens:
            check_divides("num_partial_tokens", self.num_partial_tokens, num_patches)
            if self.group_shape == "window":
                self.window_shape(num_patches, self.num_groups(num_patches))
