"""One Linear on the patches."""

from __future__ import annotations

from typing import ClassVar, Literal

from pargo.config.base import Positive
from pargo.config.projectors._grouping import AdjacentPatches


class LinearProjector(AdjacentPatches):
    """One Linear on every patch, or on groups of adjacent patches (`linear` of the release: 4)."""

    title: ClassVar[str] = "Linear"
    name: Literal["linear"]
    adjacent_patches: Positive = 1
