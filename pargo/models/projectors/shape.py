"""What a projector stands between: so many patches of such a width, and a language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Tower(Protocol):
    """What of a vision tower's settings matters here."""

    @property
    def num_patches(self) -> int: ...

    @property
    def feature_size(self) -> int: ...

    @property
    def whiten(self) -> bool: ...


@dataclass(frozen=True)
class ProjectorShape:
    """Sizes that a projector does not choose itself.

    Attributes:
        num_patches: N, patches of one image.
        feature_size: Dv, channels of a patch.
        output_size: D, width of the language model's embeddings.
        whiten: features are whitened first.
    """

    num_patches: int
    feature_size: int
    output_size: int
    whiten: bool = False

    @classmethod
    def between(cls, vision: Tower, output_size: int) -> ProjectorShape:
        """From a vision tower to a language model of this width."""
        return cls(vision.num_patches, vision.feature_size, output_size, vision.whiten)
