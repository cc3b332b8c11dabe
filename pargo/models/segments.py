"""Samples in one row: where each lies, and the positions inside it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor


class Segments(NamedTuple):
    """Where samples lie in the row, and the positions inside them."""

    bounds: tuple[tuple[int, int], ...]
    position_ids: Tensor  # [1, T], from zero in every sample

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device | None = None) -> Segments:
        """Samples of these lengths, one after the other."""
        ends = [0]
        for length in lengths:
            ends.append(ends[-1] + length)
        positions = torch.cat([torch.arange(length, device=device) for length in lengths])
        return cls(tuple(pairwise(ends)), positions.unsqueeze(0))
