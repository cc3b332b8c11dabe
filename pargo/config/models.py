"""Models: vision encoder, language model, projectors, LoRA."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pargo.config.base import Fraction, Name, Positive, Settings


class Vision(Settings):
    """The frozen vision encoder. `num_patches` and `feature_size` are checked against the tower when it is built."""

    source: Name
    architecture: str = Field(description="timm model name")
    image_size: Positive
    feature_layers: Positive = Field(1, description="last n feature maps, concatenated on the grid of the finest")
    num_patches: Positive
    feature_size: Positive
    resize: Literal["squash", "pad", "crop"] = "squash"

    @model_validator(mode="after")
    def _square(self) -> Vision:
        if int(self.num_patches**0.5) ** 2 != self.num_patches:
            raise ValueError(f"num_patches {self.num_patches} is not a square number: the patch grid must be square")
        return self


class Language(Settings):
    """The language model, frozen but for LoRA."""

    source: Name
    precision: Literal["auto", "bf16", "fp32"] = Field("auto", description="auto: bf16 where the CPU or GPU has it")
    attention: Literal["eager", "sdpa"] = "eager"


class PargoProjector(Settings):
    """Partial and global tokens (the paper). `cascade` is the paper's figure, `release` the released code."""

    name: Literal["pargo"]
    num_partial_tokens: Positive
    num_global_tokens: Annotated[int, Field(ge=0)]
    hidden_size: Positive
    num_layers: Positive
    num_heads: Positive
    intermediate_size: Positive
    self_attention: Literal["cascade", "release"] = "cascade"

    @property
    def num_tokens(self) -> int:
        return self.num_partial_tokens + self.num_global_tokens


class QFormerProjector(Settings):
    """Learnable queries that all see all patches (BLIP-2)."""

    name: Literal["qformer"]
    num_tokens: Positive
    hidden_size: Positive
    num_layers: Positive
    num_heads: Positive
    intermediate_size: Positive
    cross_attention_interval: Positive = 2


class MLPProjector(Settings):
    """Linear, GELU, Linear on groups of adjacent patches in raster order."""

    name: Literal["mlp"]
    adjacent_patches: Positive = 4
    hidden_size: Positive


Projector = Annotated[PargoProjector | QFormerProjector | MLPProjector, Field(discriminator="name")]


class LoRA(Settings):
    """Low-rank adapters on the language model (peft)."""

    rank: Positive
    alpha: Positive
    dropout: Fraction = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"
    learning_rate: Annotated[float, Field(gt=0)]
