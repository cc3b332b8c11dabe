"""What a GGUF file says of a model besides its weights: rotary positions are carried over, all else is checked.

transformers reads some settings of each architecture and passes over the others, among them every scaling of rotary
positions. Here each setting of the architecture is one that is carried over, one that the loaded model agrees with, or
one that changes no number; any other is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gguf import GGUFReader
from transformers import PreTrainedConfig
from transformers.integrations import GGUF_CONFIG_MAPPING
from transformers.integrations.gguf import GGUF_CONFIG_ARCHS

from pargo.errors import InputError

FREQUENCIES = "rope_freqs.weight"  # what frequencies are divided by: Llama 3.1 to 3.3
SHORT, LONG = "rope_factors_short.weight", "rope_factors_long.weight"  # the same, by length of text: Phi-3
ROPE_TENSORS = (FREQUENCIES, SHORT, LONG)
# types of transformers whose rotary positions take any of the scalings below (tested for each)
_SCALED = ("llama", "phi3", "qwen2", "qwen3", "starcoder2")
_SCALINGS = ("none", "linear", "yarn", "longrope")
# settings that these attributes of transformers' configs state, under the first name that a config has
_SAME = {
    "attention.head_count": ("num_attention_heads",),
    "attention.head_count_kv": ("num_key_value_heads", "num_kv_heads"),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps", "norm_eps", "layer_norm_epsilon"),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"),
    "attention.sliding_window": ("sliding_window",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "logit_scale": ("logit_scale",),
    "use_parallel_residual": ("use_parallel_residual",),
    "expert_count": ("num_experts", "num_local_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_weights_norm": ("norm_topk_prob",),
}
# the shapes of the weights say the same, or nothing is computed from them
_SHAPES_OR_NOTES = (
    "block_count",
    "context_length",
    "embedding_length",
    "expert_feed_forward_length",
    "expert_shared_feed_forward_length",
    "feed_forward_length",
    "pooling_type",
    "tensor_data_layout",
    "vocab_size",
)
# carried over by this module
_CARRIED = (
    "rope.scale_linear",  # of old files
    "rope.scaling.attn_factor",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
)
# values that change nothing
_NEUTRAL = {
    "attention.causal": (True,),
    "rope.scaling.finetuned": (True, False),
    "rope.scaling.yarn_attn_factor": (1,),
    "rope.scaling.yarn_ext_factor": (1,),
    "rope.scaling.yarn_log_multiplier": (0,),
    "ssm.dt_b_c_rms": (False,),  # of every Mamba; true of FalconMamba alone
}


def read_settings(reader: GGUFReader) -> dict[str, Any]:
    """The settings of the file's architecture, without its name in front: `rope.freq_base`, `block_count`, ..."""
    prefix = f"{reader.fields['general.architecture'].contents()}."
    return {key.removeprefix(prefix): f.contents() for key, f in reader.fields.items() if key.startswith(prefix)}


def carry_over(reader: GGUFReader, config: PreTrainedConfig) -> dict[str, Any]:
    """What transformers' config of the file lacks, to be put into it.

    Args:
        reader: of the file.
        config: as transformers reads it from the file.

    Returns:
        `rope_parameters` and what belongs to them; the window of attention, which no layer has unless the file says so.

    Raises:
        InputError: a scaling of rotary positions that transformers does not compute.
    """
    settings = read_settings(reader)
    if config.model_type not in _SCALED:
        return {}
    tensors = {tensor.name: tensor.data.ravel().tolist() for tensor in reader.tensors if tensor.name in ROPE_TENSORS}
    carried: dict[str, Any] = {"rope_parameters": _rope_parameters(settings, tensors, config)}
    if config.model_type == "phi3":
        # read in place of the one in rope_parameters
        carried["original_max_position_embeddings"] = _original_length(settings, config)
        carried["sliding_window"] = settings.get("attention.sliding_window") or None  # 0 says that there is none
    if config.model_type == "starcoder2":  # transformers gives it one of 4,096
        carried["sliding_window"] = settings.get("attention.sliding_window") or None
    return carried


def check_settings(reader: GGUFReader, config: PreTrainedConfig) -> None:
    """Compare what the file says with the config that its model will have.

    Raises:
        InputError: settings that the model does not follow, each with its value.
    """
    architecture = reader.fields["general.architecture"].contents()
    settings = read_settings(reader)
    wrong = [
        f"{architecture}.{key} {value}"
        for key, value in settings.items()
        if not _followed(key, value, architecture, config)
    ]
    if config.model_type not in _SCALED:
        wrong += [tensor.name for tensor in reader.tensors if tensor.name in ROPE_TENSORS]
    if wrong:
        raise InputError(
            f"the file says {', '.join(wrong)}, which transformers' {type(config).__name__} does not follow: this "
            "would be another model. Convert the original model, not its GGUF file"
        )


def _rope_parameters(
    settings: Mapping[str, Any], tensors: Mapping[str, list[float]], config: PreTrainedConfig
) -> dict[str, Any]:
    """Rotary positions in transformers' words, as llama.cpp computes them.

    Frequency i of d is base ** (-2i / d) / factors[i] / factor, and cosine and sine are multiplied by the attention
    factor; that is what transformers calls `longrope`, by any name of the file. YaRN has its own formula.
    """
    kind = settings.get("rope.scaling.type", "linear")
    if kind not in _SCALINGS:
        raise InputError(f"rope.scaling.type: {kind!r} is not known; choices: {', '.join(_SCALINGS)}")
    factor = settings.get("rope.scaling.factor") or settings.get("rope.scale_linear") or 1.0
    if kind == "none":
        factor = 1.0
    if kind == "longrope" and factor != 1:
        raise InputError(f"rope.scaling.factor: {factor} with rope.scaling.type longrope is not known")
    attention = settings.get("rope.scaling.attn_factor", 1.0)
    size = _rotary_size(settings, config)
    short, long = _factors(tensors, size // 2)
    phi3 = config.model_type == "phi3"  # takes `longrope` alone
    rope = {"rope_theta": settings.get("rope.freq_base", 10000.0)}
    if size != _head_size(config):
        rope["partial_rotary_factor"] = size / _head_size(config)
    if kind == "yarn" and factor > 1:
        if short or phi3:
            other = " and ".join(sorted(tensors)) or type(config).__name__
            raise InputError(f"rope.scaling.type: yarn and {other} together are not known")
        return rope | {
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": _original_length(settings, config),
            "attention_factor": attention * (1.0 + 0.1 * math.log(factor)),
            "beta_fast": settings.get("rope.scaling.yarn_beta_fast", 32.0),
            "beta_slow": settings.get("rope.scaling.yarn_beta_slow", 1.0),
        }
    if short or attention != 1 or (phi3 and factor != 1):
        ones = [1.0] * (size // 2)
        return rope | {
            "rope_type": "longrope",
            "short_factor": [value * factor for value in short or ones],
            "long_factor": [value * factor for value in long or ones],
            "factor": 1.0,  # of the attention factor alone, which is given
            "attention_factor": attention,
            "original_max_position_embeddings": _original_length(settings, config),
        }
    return rope | ({"rope_type": "default"} if factor == 1 else {"rope_type": "linear", "factor": factor})


def _factors(tensors: Mapping[str, list[float]], number: int) -> tuple[list[float], list[float]]:
    """What frequencies are divided by, in short and in long texts; empty where nothing is."""
    if tensors.keys() - {FREQUENCIES} not in (set(), {SHORT, LONG}) or len(tensors) > 2:
        raise InputError(f"{', '.join(sorted(tensors))}: expected {FREQUENCIES} alone, or {SHORT} and {LONG}")
    for name, values in tensors.items():
        if len(values) != number:
            raise InputError(f"{name} has {len(values)} numbers, but there are {number} frequencies")
    return tuple(tensors.get(name, tensors.get(FREQUENCIES, [])) for name in (SHORT, LONG))  # type: ignore[return-value]


def _original_length(settings: Mapping[str, Any], config: PreTrainedConfig) -> int:
    return settings.get("rope.scaling.original_context_length", config.max_position_embeddings)


def _rotary_size(settings: Mapping[str, Any], config: PreTrainedConfig) -> int:
    """Channels of a head that are rotated; only Phi-3's layers leave some out."""
    size = settings.get("rope.dimension_count", _head_size(config))
    if size != _head_size(config) and config.model_type != "phi3":
        raise InputError(
            f"rope.dimension_count: {size} of the {_head_size(config)} channels of a head, but transformers' "
            f"{type(config).__name__} rotates all"
        )
    return size


def _head_size(config: PreTrainedConfig) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _followed(key: str, value: Any, architecture: str, config: PreTrainedConfig) -> bool:
    """Whether the config, as it will be saved, does what a setting says."""
    if key in _NEUTRAL:
        return value in _NEUTRAL[key]
    if key in _CARRIED:
        return config.model_type in _SCALED or value == "none"
    if key in _SAME:
        stated = [getattr(config, name) for name in _SAME[key] if hasattr(config, name)]
        if key == "attention.head_count_kv" and not stated:  # of models without groups of queries, as Bloom
            stated = [config.num_attention_heads]
        if key == "attention.sliding_window" and not value:
            return all(window is None for window in stated)
        return _close(stated[0], value) if stated else not value
    flat = getattr(config, "rope_parameters", None) or {}
    ropes = [rope for rope in flat.values() if isinstance(rope, dict)] or [flat]  # one, or one for each kind of layer
    if key == "rope.freq_base":
        return any(_close(rope.get("rope_theta"), value) for rope in ropes)
    if key == "rope.dimension_count":
        return any(round(_head_size(config) * rope.get("partial_rotary_factor", 1.0)) == value for rope in ropes)
    if key in ("attention.key_length", "attention.value_length") and value == _head_size(config):
        return True
    read = GGUF_CONFIG_MAPPING.get(architecture, GGUF_CONFIG_MAPPING.get(config.model_type, {}))
    return key in _SHAPES_OR_NOTES or read.get(key) is not None or _read_by_name(key, architecture)


def _read_by_name(key: str, architecture: str) -> bool:
    """Architectures for which transformers has a function of its own that reads all their settings but scaling."""
    return architecture in GGUF_CONFIG_ARCHS and not key.startswith("rope.scal")


def _close(stated: Any, value: Any) -> bool:
    if isinstance(stated, (int, float)) and isinstance(value, (int, float)):
        return math.isclose(stated, value, rel_tol=1e-6)  # the file has float32
    return stated == value
