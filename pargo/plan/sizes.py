"""Sizes of the language model: of the imported one, else as they are stated before anything is there."""

from __future__ import annotations

from pargo.config.experiment import Config
from pargo.config.language_shape import LanguageShape
from pargo.config.sources.language_model import LanguageModelSource
from pargo.config.sources.random_language import RandomLanguageSource
from pargo.errors import InputError
from pargo.fetch.table import TABLE, wheel
from pargo.files import read_json
from pargo.layout import Layout

NUM_BYTES_AND_MARKS = 258  # tokens of `pargo.sources.random_models`: the bytes, end of text, padding


def language_sizes(config: Config) -> tuple[LanguageShape, str]:
    """The sizes, and where they are from, in words.

    Raises:
        InputError: nothing states them, or the model is not of Llama's kind.
    """
    name = config.language.source
    source = config.sources[name]
    path = Layout(config.name).source(name) / "config.json"
    if path.exists():
        found = read_json(path)
        found.setdefault("num_key_value_heads", found.get("num_attention_heads"))
        if missing := [field for field in LanguageShape.model_fields if field not in found]:
            raise InputError(f"{path} has no {', '.join(missing)}: only models of Llama's kind can be counted")
        return LanguageShape(**{field: found[field] for field in LanguageShape.model_fields}), "imported"
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
    if shape is None:
        raise InputError(
            f"language.source: nothing states the sizes of {name}: write its `shape` into pargo/fetch/{TABLE.name}, or "
            f"first run `pargo reproduce --config config/{config.name}.yaml --until download`"
        )
    return shape, f"stated in pargo/fetch/{TABLE.name}"
