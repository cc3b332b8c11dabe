"""What a config can say of rendered scenes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pargo.config.base import Positive
from pargo.config.sources import SourceSettings


class ScenesSource(SourceSettings):
    """Rendered scenes with exact ground truth; image i depends on (seed, i) alone."""

    splits: ClassVar = ("train",)
    annotated: ClassVar = True

    kind: Literal["scenes"]
    num_images: Positive
    image_size: Positive = 160
    seed: int = 0

    @property
    def draws(self) -> str:
        return f"scenes of seed {self.seed}"

    @property
    def known_images(self) -> int:
        return self.num_images
