"""Language models from elsewhere as language sources, in the graph and by `pargo convert-language`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pargo.errors import InputError, PargoError
from pargo.files import new_directory, read_json
from pargo.models.vocabulary import check_output_layer, read_tokenizer
from pargo.sources.importers.gguf import convert_gguf
from pargo.sources.importers.internlm2 import convert_internlm2


def convert_language_model(source: Path, output: Path) -> None:
    """Write a language model as a directory that transformers loads; it appears when everything is written.

    Args:
        source: a `.gguf` file, or the directory of an InternLM2 model as published (config.json, weights as
            safetensors or `pytorch_model*.bin`, tokenizer.model).
        output: new directory.

    Raises:
        PargoError: the output exists, or the source is neither.
        InputError: weights that do not fit.
    """
    convert = _converter(source)
    with new_directory(output) as temporary:
        convert(source, temporary)


def import_language_model(source: Path, output: Path, shape: Mapping[str, int]) -> None:
    """Write a language model into a directory that exists: converted, or as it is where transformers knows it.

    Args:
        source: as of `convert_language_model`, or a directory that transformers loads.
        shape: sizes that its config.json must state, by name.

    Raises:
        InputError: another size, or weights that do not fit.
    """
    path = source / "config.json"
    if path.is_file():
        config = read_json(path)
        if not isinstance(config, dict):
            raise InputError(f"{path}: expected a mapping")
        _check_shape(source, config, shape)  # before gigabytes are written
        convert: Callable[[Path, Path], None] = convert_internlm2 if config.get("model_type") == "internlm2" else _copy
    else:
        convert = _converter(source)
    convert(source, output)
    _check_shape(source, read_json(output / "config.json"), shape)


def _check_shape(source: Path, found: Mapping[str, Any], shape: Mapping[str, int]) -> None:
    """Raise InputError unless a model has the shape that the config says.

    As in transformers, one that does not name its key-value heads has as many as query heads.
    """
    found = {"num_key_value_heads": found.get("num_attention_heads")} | dict(found)
    wrong = [f"{name} {found.get(name)}, not {size}" for name, size in shape.items() if found.get(name) != size]
    if wrong:
        raise InputError(f"{source} is another model than the config's shape says: {', '.join(wrong)}")


def _converter(source: Path) -> Callable[[Path, Path], None]:
    if source.suffix == ".gguf" and source.is_file():
        return convert_gguf
    if (source / "config.json").is_file():
        return convert_internlm2
    raise PargoError(f"{source} is neither a .gguf file nor a directory with a config.json")


def _copy(source: Path, output: Path) -> None:
    """Weights as transformers names them in safetensors, and the small files beside them; no pickles and no code.

    Raises:
        InputError: no weights, an adapter beside them, or a config that does not fit weights or tokenizer.
    """
    weights = sorted(source.glob("model*.safetensors"))
    if not weights:
        raise InputError(f"{source} has no model*.safetensors: save the model with save_pretrained of transformers")
    if (source / "adapter_config.json").exists():
        raise InputError(f"{source} has an adapter beside its weights: merge it first (merge_and_unload of peft)")
    read_tokenizer(source)
    try:
        check_output_layer(source)
    except InputError:
        raise
    except ValueError as error:  # of transformers, which knows no such language model
        kind = read_json(source / "config.json").get("model_type")
        raise InputError(f"{source} holds a model of the kind {kind!r}: no language model of transformers") from error
    small = [path for pattern in ("*.json", "*.txt", "tokenizer.model") for path in sorted(source.glob(pattern))]
    for path in (*weights, *small):
        shutil.copyfile(path, output / path.name)
