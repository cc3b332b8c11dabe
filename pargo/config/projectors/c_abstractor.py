"""The C-Abstractor of Honeybee."""

from __future__ import annotations

from math import isqrt
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from pargo.config.base import Positive
from pargo.config.projectors import ProjectorSettings
from pargo.errors import InputError


class CAbstractorProjector(ProjectorSettings):
    """Convolutions, average pooling to a square of tokens, convolutions (Honeybee's C-Abstractor)."""

    title: ClassVar[str] = "C-Abstractor"
    name: Literal["c_abstractor"]
    num_tokens: Positive = Field(144, description="a square number")
    hidden_size: Positive
    depth: Positive = Field(3, description="bottleneck blocks before the pooling, and after it")

    @model_validator(mode="after")
    def _square(self) -> CAbstractorProjector:
        if isqrt(self.num_tokens) ** 2 != self.num_tokens:
            raise ValueError(f"num_tokens: {self.num_tokens} is not a square number")
        return self

    def num_image_tokens(self, num_patches: int) -> int:
        return self.num_tokens

    def check_patches(self, num_patches: int) -> None:
        if isqrt(num_patches) ** 2 != num_patches:
            raise InputError(f"num_patches: {num_patches} patches are no square grid, which convolutions need")
        if self.num_tokens > num_patches:
            raise InputError(f"num_tokens: {self.num_tokens} tokens cannot be pooled from {num_patches} patches")
