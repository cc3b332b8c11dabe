"""Sizes of the language model as they are stated before anything is there."""

from __future__ import annotations

from pargo.config.experiment import Config
from pargo.config.language_shape import LanguageShape
from pargo.config.sources.language_model import LanguageModelSource
from pargo.config.sources.random_language import RandomLanguageSource
from pargo.fetch.table import TABLE, wheel

NUM_BYTES_AND_MARKS = 258  # tokens of `pargo.sources.random_models`: the bytes, end of text, padding


def stated_shape(config: Config) -> tuple[LanguageShape, str] | None:
    """The sizes of the whole language model, and where they are stated, in words; None where nothing states them."""
    name = config.language.source
    source = config.sources[name]
    if isinstance(source, LanguageModelSource):
        return source.shape, "stated in the config"
    if isinstance(source, RandomLanguageSource):
        heads = {"num_attention_heads": source.num_heads, "num_key_value_heads": source.num_heads}
        return LanguageShape(
            hidden_size=source.hidden_size,
            intermediate_size=2 * source.hidden_size,
            num_hidden_layers=source.num_layers,
            vocab_size=NUM_BYTES_AND_MARKS,
            **heads,
        ), "stated in the config"
    shape = wheel(name).shape if source.kind == "wheel" else None
    return shape and (shape, f"stated in pargo/fetch/{TABLE.name}")
