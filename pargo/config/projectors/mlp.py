"""The MLP of LLaVA-1.5."""

from __future__ import annotations

from typing import ClassVar, Literal

from pargo.config.base import Positive
from pargo.config.projectors._grouping import AdjacentPatches


class MLPProjector(AdjacentPatches):
    """Linear, GELU, Linear (LLaVA-1.5) on groups of adjacent patches (`mlp` of the release: 4)."""

    title: ClassVar[str] = "MLP"
    name: Literal["mlp"]
    adjacent_patches: Positive = 4
    hidden_size: Positive
