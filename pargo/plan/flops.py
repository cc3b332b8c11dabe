"""Floating-point operations of one sample, counted from sizes alone (a multiply-add counts as two)."""

from __future__ import annotations

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from pargo.config.language_shape import LanguageShape
from pargo.config.models import Adapter, Vision
from pargo.config.projectors import Projector
from pargo.errors import InputError
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.models.projectors.base import ProjectorBase
from pargo.models.vision import VisionTower, vision_config


@cache
def tower_flops(vision: Vision) -> int:
    """Operations of the vision tower for one image, counted on a tower without memory.

    Raises:
        InputError: timm has no such architecture.
    """
    with torch.device("meta"):
        tower = VisionTower(vision_config(vision)).eval()
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            tower(torch.empty(1, 3, vision.image_size, vision.image_size))
    return int(counter.get_total_flops())


def make_projector(projector: Projector, vision: Vision, output_size: int) -> ProjectorBase:
    """The projector without memory, for its counts."""
    with torch.device("meta"):
        return build_projector(projector, ProjectorShape.between(vision, output_size))


class LanguageCost:
    """Counts of a language model in Llama's layout.

    Args:
        shape: its sizes.
    """

    def __init__(self, shape: LanguageShape) -> None:
        self.shape = shape
        size, head = shape.hidden_size, shape.hidden_size // shape.num_attention_heads
        self._linears = {
            "q_proj": (size, size),
            "k_proj": (size, shape.num_key_value_heads * head),
            "v_proj": (size, shape.num_key_value_heads * head),
            "o_proj": (size, size),
            "gate_proj": (size, shape.intermediate_size),
            "up_proj": (size, shape.intermediate_size),
            "down_proj": (shape.intermediate_size, size),
        }

    @property
    def weights(self) -> int:
        """Number of weights of all layers, without embeddings and output layer."""
        return self.shape.num_hidden_layers * sum(rows * columns for rows, columns in self._linears.values())

    @property
    def head(self) -> int:
        """Number of weights of the output layer."""
        return self.shape.vocab_size * self.shape.hidden_size

    def adapter_weights(self, adapter: Adapter) -> int:
        """Number of weights of LoRA on its target modules.

        Raises:
            InputError: a module that Llama's layers do not have.
        """
        chosen = list(self._linears) if adapter.target_modules == "all-linear" else adapter.target_modules
        if isinstance(chosen, str) or not set(chosen) <= set(self._linears):
            raise InputError(f"lora.target_modules: {chosen!r} cannot be counted; choices: {', '.join(self._linears)}")
        sums = sum(sum(self._linears[name]) for name in chosen)
        return self.shape.num_hidden_layers * adapter.rank * sums

    def forward(self, tokens: int, answered: int, adapter: Adapter | None) -> float:
        """One forward pass of a sample: `tokens` in all, of which `answered` reach the output layer."""
        low_rank = self.adapter_weights(adapter) if adapter else 0
        return 2.0 * tokens * (self.weights + low_rank) + 2.0 * answered * self.head + self._attention(tokens)

    def training(self, tokens: int, answered: int, adapter: Adapter | None, *, checkpointing: bool) -> float:
        """Forward and backward; weights are frozen, so only inputs and adapters get gradients."""
        low_rank = self.adapter_weights(adapter) if adapter else 0
        total = 4.0 * tokens * self.weights + 6.0 * tokens * low_rank + 4.0 * answered * self.head
        total += 3.0 * self._attention(tokens)
        again = 2.0 * tokens * (self.weights + low_rank) + self._attention(tokens)
        return total + (again if checkpointing else 0.0)

    def full_training(self, tokens: int, answered: int) -> float:
        """Forward and backward, where all layers are trained and the output layer is not."""
        return 6.0 * tokens * self.weights + 4.0 * answered * self.head + 3.0 * self._attention(tokens)

    def _attention(self, tokens: int) -> float:
        """Scores and mixed values of causal attention."""
        return 2.0 * tokens * tokens * self.shape.hidden_size * self.shape.num_hidden_layers
