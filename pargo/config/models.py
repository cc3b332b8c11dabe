"""Models: vision encoder, language model, adapters. The projectors have a file of their own."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pargo.config.base import Fraction, Name, Positive, Settings
from pargo.config.warm_up import WarmUp


class Vision(Settings):
    """The frozen vision encoder. `num_patches` and `feature_size` are checked against the tower when it is built."""

    source: Name
    architecture: str = Field(description="timm model name")
    image_size: Positive
    feature_layers: Positive = Field(1, description="last n feature maps, concatenated on the grid of the finest")
    num_patches: Positive
    feature_size: Positive
    resize: Literal["squash", "pad", "crop"] = "squash"
    whiten: bool = Field(
        False,
        description="a choice of toy scale: projectors see decorrelated channels, by the mean and covariance of the "
        "first 400 images of pretraining",
    )

    @model_validator(mode="after")
    def _square(self) -> Vision:
        if int(self.num_patches**0.5) ** 2 != self.num_patches:
            raise ValueError(f"num_patches {self.num_patches} is not a square number: the patch grid must be square")
        return self


Attention = Literal["auto", "fused", "sdpa", "eager"]


class Language(Settings):
    """The language model, frozen but for LoRA, and for a warm-up before everything else."""

    source: Name
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = Field(
        None, description="a choice of toy scale: the decoder layers that are kept, counted from 0; by default all"
    )
    warm_up: WarmUp | None = Field(None, description="a choice of toy scale: first learns on text alone")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 where it is measured to be faster on this machine"
    )
    attention: Attention = Field(
        "auto",
        description="in training: transformers' sdpa or eager, or our fused layers of a frozen Llama; auto: the "
        "fastest, measured once per machine. Answers: eager where it is asked for, else sdpa",
    )


# why LoRA is not put there; by the usual names of these layers it is refused before anything runs
NOT_ADAPTED = {
    "output": "whose weight the loss reads itself, so an adapter on it would never be trained",
    "embeddings": "which may be one matrix with the output layer, so merging an adapter would change both",
}
_LAYERS = {"lm_head": "output", "embed_out": "output", "embed_tokens": "embeddings", "wte": "embeddings"}


class Adapter(Settings):
    """Low-rank adapters on the language model (LoRA through peft)."""

    rank: Positive
    alpha: Positive
    dropout: Fraction = 0.0
    target_modules: str | tuple[str, ...] = Field(
        "all-linear",
        description="names of linear layers, or a regular expression of whole names; all-linear leaves out the output "
        "layer, which cannot be adapted, nor can the embeddings",
    )

    @model_validator(mode="after")
    def _can_be_adapted(self) -> Adapter:
        targets = self.target_modules
        if not targets:
            raise ValueError("target_modules is empty: name linear layers, or write all-linear")
        if isinstance(targets, str):
            if targets != "all-linear" and targets == re.escape(targets):
                raise ValueError(f"target_modules: write a list, [{targets}], or all-linear")
            try:
                re.compile(targets)
            except re.error as error:
                raise ValueError(f"target_modules: {targets!r} is no regular expression: {error}") from None
        for name in [targets] if isinstance(targets, str) else targets:
            kind = _LAYERS.get(name.rpartition(".")[2])
            if kind:
                raise ValueError(f"target_modules: {name} is the language model's {kind} layer, {NOT_ADAPTED[kind]}")
        return self


class LoRA(Adapter):
    """LoRA adapters of the language model, and how they are trained."""

    learning_rate: Annotated[float, Field(gt=0)]

    @property
    def adapter(self) -> Adapter:
        """What is built, without how it is trained."""
        return Adapter(**self.model_dump(exclude={"learning_rate"}))
