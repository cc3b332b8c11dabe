"""GGUF files -> a language source.

Their weights become bfloat16, the type most machines compute in, in half the space: against the four bits of Q4_1 the
rounding is nothing (measured on SmolLM2-135M: 0.14 % of a matrix, 0.0002 nats of the next-token distribution at most).
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from pargo.errors import InputError, PargoError
from pargo.models.weights import check_loading_info
from pargo.sources.importers.gguf_settings import ROPE_TENSORS, carry_over, check_settings
from pargo.sources.importers.language import save_language_model


def import_gguf(files: Path, output: Path) -> None:
    """Convert the one `.gguf` file below `files` into a language source in `output`."""
    paths = sorted(files.rglob("*.gguf"))
    if len(paths) != 1:
        raise PargoError(f"expected one .gguf file in the wheel, found {[path.name for path in paths]}")
    convert_gguf(paths[0], output)


def convert_gguf(path: Path, output: Path) -> None:
    """A GGUF file of any architecture that transformers reads, in bfloat16.

    Raises:
        InputError: it is no such file, or says something of its model that cannot be carried over.
    """
    print("Converting GGUF weights to safetensors", file=sys.stderr, flush=True)
    place = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name, "local_files_only": True}
    try:
        reader = GGUFReader(path)
        config = _config(reader, AutoConfig.from_pretrained(**place))
        tokenizer = _own_tokens(reader, AutoTokenizer.from_pretrained(**place))
        with redirect_stderr(io.StringIO()):  # a progress bar that cannot be turned off
            model, info = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path} cannot be converted: {error}") from error
    check_loading_info(str(path), info)
    _check_all_read(path, reader, model)
    save_language_model(output, config, model.state_dict(), tokenizer, dtype=torch.bfloat16)


def _config(reader: GGUFReader, config: PreTrainedConfig) -> PreTrainedConfig:
    """The config of the file, with what transformers passes over."""
    settings = config.to_dict()
    # the saved weights are plain numbers; transformers refuses to save a model that says it is quantized
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path", "dtype"):
        settings.pop(key, None)
    whole = type(config).from_dict(settings | carry_over(reader, config))
    check_settings(reader, whole)
    return whole


def _own_tokens(reader: GGUFReader, tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer with the file's tokens alone: transformers adds GPT-2's end of text to every byte-level one."""
    number = len(reader.fields["tokenizer.ggml.tokens"].data)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    own = [token for token in backend["added_tokens"] if token["id"] < number]
    if len(own) == len(backend["added_tokens"]):
        return tokenizer
    whole = Tokenizer.from_str(json.dumps(backend | {"added_tokens": own}))
    names = {name: getattr(tokenizer, name) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    special = {
        name: token for name, token in names.items() if token is not None and whole.token_to_id(token) is not None
    }
    return PreTrainedTokenizerFast(tokenizer_object=whole, chat_template=tokenizer.chat_template, **special)


def _check_all_read(path: Path, reader: GGUFReader, model: PreTrainedModel) -> None:
    """transformers passes over tensors that it does not know: then the file holds more numbers than the model.

    Raises:
        InputError: it does.
    """
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    for name in ROPE_TENSORS:
        tensors.pop(name, None)  # in the config
    if model.config.tie_word_embeddings and "output.weight" in tensors:
        output, embeddings = tensors.pop("output.weight"), tensors["token_embd.weight"]
        if output.tensor_type != embeddings.tensor_type or not np.array_equal(output.data, embeddings.data):
            raise InputError(f"{path} has an output layer of its own, which {type(model).__name__} does not read")
    sizes = {name: int(tensor.n_elements) for name, tensor in tensors.items()}
    in_file = sum(sizes.values())
    in_model = sum(parameter.numel() for parameter in model.parameters())
    if in_file != in_model:
        raise InputError(
            f"{path} holds {in_file:,} numbers, but {type(model).__name__} has {in_model:,}: transformers did not read "
            f"all of its {len(sizes)} tensors, so this would be another model"
        )
