"""What a config can say of mini-MME."""

from __future__ import annotations

from typing import ClassVar, Literal

from pargo.config.benchmarks import Size
from pargo.config.benchmarks.mme import MME


class MiniMME(MME):
    """Small scenes with MME's layout, questions and rules; not comparable with MME."""

    title: ClassVar = "mini-MME"
    size: ClassVar = None
    package: ClassVar = "mme"
    whole: ClassVar = False

    kind: Literal["mini_mme"]  # type: ignore[assignment]
    prompt: Literal["official", "llava", "pargo_release", "compact"] = "compact"
    partial: bool = True

    def size_of(self, num_images: int | None) -> Size | None:
        """Two questions about each image."""
        return None if num_images is None else Size(2 * num_images, num_images, 8, 1)
