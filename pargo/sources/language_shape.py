"""Sizes of the language model as they are stated before anything is there."""

from __future__ import annotations

from pargo.config.experiment import Config
from pargo.config.language_shape import LanguageShape
from pargo.config.sources.language_model import LanguageModelSource
from pargo.config.sources.random_language import RandomLanguageSource
from pargo.fetch.table import TABLE, wheel
from pargo.files import read_json
from pargo.layout import Layout

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
    return None if shape is None else (shape, f"stated in pargo/fetch/{TABLE.name}")


def number_of_layers(config: Config) -> int | None:
    """How many layers the whole language model has: as stated, else as the imported one says; None where neither does.

    What is stated comes first, since the import may still be that of a config before.
    """
    if stated := stated_shape(config):
        return stated[0].num_hidden_layers
    path = Layout(config.name).source(config.language.source) / "config.json"
    found = read_json(path).get("num_hidden_layers") if path.is_file() else None
    return found if isinstance(found, int) else None
