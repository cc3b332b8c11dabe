"""What a config can say of a small random vision tower."""

from __future__ import annotations

from typing import Literal

from pargo.config.sources import SourceSettings


class RandomVisionSource(SourceSettings):
    """A small vision tower with seeded random weights (tests)."""

    kind: Literal["random_vision"]
    seed: int = 0
