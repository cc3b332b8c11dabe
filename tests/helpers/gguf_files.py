"""GGUF files of small models of transformers, written with the `gguf` package as llama.cpp's converter does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from pargo.sources.random_models import byte_tokenizer

VOCABULARY = 258
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "bos_token_id": 257,
    "eos_token_id": 257,
    "pad_token_id": 257,
    "initializer_range": 0.4,
}


def small_model(config_class: type[PreTrainedConfig], rope: Mapping[str, Any], **fields: Any) -> PreTrainedModel:
    """A model with random weights that bfloat16 holds exactly."""
    rope = {"rope_theta": 10000.0, "rope_type": "default", **rope}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config_class(**SMALL | {"rope_parameters": rope} | fields))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:  # larger than a new model's, so that positions matter
                torch.nn.init.normal_(parameter, std=0.4)
            parameter.copy_(parameter.bfloat16())
    return model.eval()


def write_gguf(
    path: Path,
    architecture: str,
    model: PreTrainedModel,
    settings: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Sequence[float]] | None = None,
) -> Path:
    """The model as a GGUF file.

    Args:
        path: file to write.
        architecture: its name in GGUF.
        model: of `small_model`.
        settings: further ones of the architecture by their names without it; None leaves one of the usual ones out.
        tensors: further ones.
    """
    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    said = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "rope.dimension_count": size,
        "rope.freq_base": config.rope_parameters["rope_theta"],
    }
    if hasattr(config, "rms_norm_eps"):
        said["attention.layer_norm_rms_epsilon"] = config.rms_norm_eps
    if architecture == "qwen3":
        said |= {"attention.key_length": size, "attention.value_length": size}
    writer = gguf.GGUFWriter(path, architecture)
    _add_settings(writer, architecture, said | dict(settings or {}))
    _add_tokenizer(writer)
    names = gguf.get_tensor_name_map(
        next(kind for kind, arch in gguf.MODEL_ARCH_NAMES.items() if arch == architecture), config.num_hidden_layers
    )
    written = {}
    for weight, parameter in model.state_dict().items():
        if weight == "lm_head.weight" and config.tie_word_embeddings:
            continue
        stem, _, kind = weight.rpartition(".")
        values = parameter.detach()
        if architecture == "llama":
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
            number = heads.get(stem.rpartition(".")[2])
            if number:  # llama.cpp's Llama rotates neighbours, not halves
                values = values.reshape(number, 2, -1, *values.shape[1:]).transpose(1, 2).reshape(values.shape)
        written[f"{names.get_name(stem)}.{kind}"] = values.numpy()
    written |= {tensor: np.asarray(values) for tensor, values in (tensors or {}).items()}
    for tensor, values in written.items():
        writer.add_tensor(tensor, np.ascontiguousarray(values, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_settings(path: Path, architecture: str, settings: Mapping[str, Any]) -> Path:
    """A GGUF file that says no more than this, without weights; the tokenizer is that of `write_gguf`."""
    writer = gguf.GGUFWriter(path, architecture)
    _add_settings(writer, architecture, settings)
    _add_tokenizer(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def _add_settings(writer: gguf.GGUFWriter, architecture: str, settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if value is not None:
            add = {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}
            add[type(value)](f"{architecture}.{key}", value)


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*byte_tokenizer().convert_ids_to_tokens(range(256)), "ab", "<|im_start|>"])
    writer.add_token_types([gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(257)
    writer.add_pad_token_id(257)
