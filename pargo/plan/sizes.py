"""Sizes of the language model: of the imported one, else as they are stated before anything is there."""

from __future__ import annotations

from pargo.config.experiment import Config
from pargo.config.language_shape import LanguageShape
from pargo.config.layers import check_layers
from pargo.errors import InputError
from pargo.fetch.table import TABLE
from pargo.files import read_json
from pargo.layout import Layout
from pargo.sources.language_shape import stated_shape


def language_sizes(config: Config) -> tuple[LanguageShape, str]:
    """The sizes, with the layers that are kept alone, and where they are from, in words.

    Raises:
        InputError: nothing states them, the model is not of Llama's kind, or it has no such layers.
    """
    whole, origin = _whole(config)
    check_layers(config.language, whole.num_hidden_layers)
    kept = config.language.layers
    return (whole.model_copy(update={"num_hidden_layers": len(kept)}) if kept else whole), origin


def _whole(config: Config) -> tuple[LanguageShape, str]:
    name = config.language.source
    path = Layout(config.name).source(name) / "config.json"
    if path.exists():
        found = read_json(path)
        found.setdefault("num_key_value_heads", found.get("num_attention_heads"))
        if missing := [field for field in LanguageShape.model_fields if field not in found]:
            raise InputError(f"{path} has no {', '.join(missing)}: only models of Llama's kind can be counted")
        return LanguageShape(**{field: found[field] for field in LanguageShape.model_fields}), "imported"
    stated = stated_shape(config)
    if stated is None:
        raise InputError(
            f"language.source: nothing states the sizes of {name}: write its `shape` into pargo/fetch/{TABLE.name}, or "
            f"first run `pargo reproduce --config config/{config.name}.yaml --until download`"
        )
    return stated
