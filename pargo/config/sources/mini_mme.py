"""What a config can say of the small benchmark of scenes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pargo.config.base import Positive
from pargo.config.sources import SourceSettings


class MiniMMESource(SourceSettings):
    """A small benchmark of scenes in the official MME folder layout."""

    splits: ClassVar = ("test",)

    kind: Literal["mini_mme"]
    images_per_task: Positive
    image_size: Positive = 160
    seed: int = Field(1, description="must differ from the seed of any training scenes")

    @property
    def known_images(self) -> int:
        return 5 * self.images_per_task  # of five tasks

    @property
    def draws(self) -> str:
        return f"scenes of seed {self.seed}"  # of the first task, those that a source of scenes begins with
