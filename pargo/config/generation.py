"""Generation: apart from training, so that a change of how models answer does not train them again."""

from __future__ import annotations

from pargo.config.base import Positive, Settings


class Generation(Settings):
    """How answers are generated."""

    batch_size: Positive = 32
    max_new_tokens: Positive = 4
    num_beams: Positive = 1
    num_threads: Positive = 1
