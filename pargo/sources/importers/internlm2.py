"""InternLM2 -> a language source in the layout of Llama, which it equals but for names and one fused matrix.

It needs code of its own in transformers; as a Llama it needs none. `wqkv` holds, for each key-value head, the rows of
its query heads, then of its key, then of its value. Splitting rows is all there is to it: the same numbers.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from pargo.errors import InputError, PargoError
from pargo.files import read_json
from pargo.models.vocabulary import check_vocabulary
from pargo.models.weights import read_weights
from pargo.sources.importers.language import save_language_model

# what a converted tokenizer must encode as its original: spaces, line breaks, unknown characters, code
PROBES = ("Is there a dog?", " a  b", "x\ny\n\n", "Wörld ☃ 日本", "USER: <Img></Img> {}\n", "def f(x):\n    return x")
_NAMES = {
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w3": "mlp.up_proj",
    "feed_forward.w2": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_OUTSIDE = {
    "model.tok_embeddings.weight": "model.embed_tokens.weight",
    "model.norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
_COPIED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "tie_word_embeddings",
)


def split_rows(fused: Tensor, num_attention_heads: int, num_key_value_heads: int) -> dict[str, Tensor]:
    """Rows of `wqkv` [(heads + 2 * kv heads) * head size, ...] as `q_proj`, `k_proj` and `v_proj`.

    Raises:
        InputError: the rows cannot be divided so.
    """
    parts = num_attention_heads + 2 * num_key_value_heads
    if num_attention_heads % num_key_value_heads or len(fused) % parts:
        raise InputError(
            f"wqkv has {len(fused)} rows, which {num_attention_heads} query and {num_key_value_heads} key-value heads "
            "do not divide"
        )
    queries = num_attention_heads // num_key_value_heads
    grouped = fused.reshape(num_key_value_heads, queries + 2, len(fused) // parts, *fused.shape[1:])
    return {
        "q_proj": grouped[:, :queries].flatten(0, 2),
        "k_proj": grouped[:, queries].flatten(0, 1),
        "v_proj": grouped[:, queries + 1].flatten(0, 1),
    }


def convert_internlm2_config(config: Mapping[str, Any]) -> LlamaConfig:
    """`config.json` of an InternLM2 model -> that of the same model as a Llama.

    Raises:
        InputError: it is not InternLM2's, or uses what Llama's classes do not compute in the same way.
    """
    if config.get("model_type") != "internlm2":
        raise InputError(f"model_type: {config.get('model_type')!r} is not 'internlm2'")
    scaling = dict(config.get("rope_scaling") or {})
    kind = scaling.pop("type", scaling.pop("rope_type", "default"))
    if kind not in ("default", "linear", "dynamic"):
        raise InputError(f"rope_scaling: {kind!r} is not known; choices: linear, dynamic")
    expected = {"factor"} if kind != "default" else set()
    if set(scaling) != expected:
        raise InputError(f"rope_scaling: {kind} takes {sorted(expected)}, not {sorted(scaling)}")
    bias = bool(config.get("bias", False))
    return LlamaConfig(
        **{name: config[name] for name in _COPIED if name in config},
        attention_bias=bias,
        mlp_bias=False,
        rope_parameters={"rope_type": kind, "rope_theta": float(config.get("rope_theta", 10000.0)), **scaling},
    )


def convert_internlm2_state_dict(state: Mapping[str, Tensor], config: LlamaConfig) -> dict[str, Tensor]:
    """InternLM2's weights under Llama's names.

    Raises:
        InputError: a name that InternLM2 does not have; the message lists all of them.
    """
    converted: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in state.items():
        layer = _LAYER.fullmatch(name)
        if name in _OUTSIDE:
            converted[_OUTSIDE[name]] = tensor
        elif layer and layer[2] == "attention.wqkv":
            split = split_rows(tensor, config.num_attention_heads, config.num_key_value_heads)
            for projection, rows in split.items():
                converted[f"model.layers.{layer[1]}.self_attn.{projection}.{layer[3]}"] = rows
        elif layer and layer[2] in _NAMES:
            converted[f"model.layers.{layer[1]}.{_NAMES[layer[2]]}.{layer[3]}"] = tensor
        elif not name.endswith("rotary_emb.inv_freq"):  # follows from the config
            unknown.append(name)
    if unknown:
        raise InputError(f"not weights of InternLM2: {', '.join(sorted(unknown))}")
    return converted


def convert_internlm2(source: Path, output: Path) -> None:
    """An InternLM2 model as a Llama, in the number type of its weights."""
    config = convert_internlm2_config(read_json(source / "config.json"))
    tokenizer = convert_internlm2_tokenizer(source)
    check_vocabulary(tokenizer, config)  # before gigabytes are read
    weights = convert_internlm2_state_dict(_read_weights(source), config)
    dtype = next(iter(weights.values())).dtype
    save_language_model(output, config, weights, tokenizer, dtype=dtype)


def convert_internlm2_tokenizer(source: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of `tokenizer.model`, without InternLM2's own code.

    Raises:
        PargoError: there is no tokenizer.model, or the result does not encode as it does.
    """
    import sentencepiece
    from tokenizers import normalizers

    path = source / "tokenizer.model"
    if not path.is_file():
        raise PargoError(f"{source} has no tokenizer.model")
    original = sentencepiece.SentencePieceProcessor(str(path))
    llama = LlamaTokenizer.from_pretrained(source, local_files_only=True)
    space = "\N{LOWER ONE EIGHTH BLOCK}"  # what sentencepiece writes for a space
    steps = [normalizers.Prepend(space)] if original.encode("a", out_type=str)[0].startswith(space) else []
    backend = llama.backend_tokenizer
    backend.normalizer, backend.pre_tokenizer = normalizers.Sequence([*steps, normalizers.Replace(" ", space)]), None
    special = {name: getattr(llama, name) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    # not as a LlamaTokenizer: that makes its own normalizer again when it is loaded
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    for text in PROBES:
        if tokenizer(text, add_special_tokens=False)["input_ids"] != original.encode(text):
            raise PargoError(f"{path}: converted, it encodes {text!r} differently")
    return tokenizer


def _read_weights(source: Path) -> dict[str, Tensor]:
    """All tensors of a directory's weight files; pickles are read without running code from them."""
    weights: dict[str, Tensor] = {}
    for path in sorted(source.glob("*.safetensors")):
        weights |= read_weights(path)
    if not weights:
        for path in sorted(source.glob("pytorch_model*.bin")):
            try:
                weights |= torch.load(path, map_location="cpu", weights_only=True)
            except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
                raise InputError(
                    f"{path} holds no plain tensors: it is damaged, or holds other objects, which are not read since "
                    "they could run code"
                ) from error
    if not weights:
        raise PargoError(f"{source} has neither *.safetensors nor pytorch_model*.bin")
    return weights
