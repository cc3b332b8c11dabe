"""`pargo convert-language`: language models from elsewhere as language sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pargo.data.importers.gguf import convert_gguf
from pargo.data.importers.internlm2 import convert_internlm2
from pargo.errors import PargoError
from pargo.files import new_directory


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
    if source.suffix == ".gguf" and source.is_file():
        convert: Callable[[Path, Path], None] = convert_gguf
    elif (source / "config.json").is_file():
        convert = convert_internlm2
    else:
        raise PargoError(f"{source} is neither a .gguf file nor a directory with a config.json")
    with new_directory(output) as temporary:
        convert(source, temporary)
