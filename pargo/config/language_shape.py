"""Sizes of a language model, as `pargo plan` counts with them and an import checks them."""

from __future__ import annotations

from pargo.config.base import Positive, Settings


class LanguageShape(Settings):
    """Sizes of a language model in Llama's layout; compared with its config.json when it is imported."""

    hidden_size: Positive
    intermediate_size: Positive
    num_hidden_layers: Positive
    num_attention_heads: Positive
    num_key_value_heads: Positive
    vocab_size: Positive
