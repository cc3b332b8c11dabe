"""What a config can say of a small random language model."""

from __future__ import annotations

from typing import Literal

from pargo.config.base import Positive
from pargo.config.sources import SourceSettings


class RandomLanguageSource(SourceSettings):
    """A small Llama with seeded random weights and a byte-level tokenizer (tests)."""

    kind: Literal["random_language"]
    hidden_size: Positive = 64
    num_layers: Positive = 2
    num_heads: Positive = 4
    seed: int = 0
