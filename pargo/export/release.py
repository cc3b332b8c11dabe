"""The official release's checkpoint (bytedance/ParGo) under this project's names, strictly.

Names as in its published code (inference only): its projector is a BERT whose feed-forward blocks for text are removed.
Width and depth are read from the weights; the number of heads is not in them. The parity tests go through the same
functions: what they prove holds for the real checkpoint.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from pargo.config.models import Adapter, Language, Vision
from pargo.config.projectors.pargo import PargoProjector
from pargo.errors import InputError
from pargo.export.settings import CONFIG, ORIGIN, ModelSettings
from pargo.files import new_directory, sha256_file
from pargo.models.build import WEIGHTS
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.models.weights import check_names_and_shapes, refuse
from pargo.sources.importers.internlm2 import split_rows

# what the release's evaluation config says of the parts that are not in the checkpoint
VISION = Vision(
    source="eva02_large_patch14_clip_336",
    architecture="eva02_large_patch14_clip_336",
    image_size=336,
    num_patches=576,
    feature_size=1024,
    resize="pad",
)
LANGUAGE = Language(source="internlm2_7b", attention="sdpa")
ALPHA_PER_RANK, DROPOUT = 2, 0.05
# InternLM2-7B
NUM_ATTENTION_HEADS, NUM_KEY_VALUE_HEADS, NUM_LAYERS = 32, 8, 32

_ATTENTION = {
    "self.query": "query",
    "self.key": "key",
    "self.value": "value",
    "output.dense": "output",
    "output.LayerNorm": "norm",
}
_BLOCKS = {
    **{f"attention.{old}": f"self_attention.{new}" for old, new in _ATTENTION.items()},
    **{f"crossattention.{old}": f"cross_attention.{new}" for old, new in _ATTENTION.items()},
    "intermediate_query.dense": "feed_forward.intermediate",
    "output_query.dense": "feed_forward.output",
    "output_query.LayerNorm": "feed_forward.norm",
}
# tensors whose shapes tell how large the model is: our name, and dimensions
_TELLING = {
    "query_tokens": ("projector.query_tokens", 2),  # without its batch of one
    "ParGo.bert.embeddings.position_embeddings.weight": ("projector.position_embeddings", 2),
    "ParGo.bert.encoder.layer.0.intermediate_query.dense.weight": (
        "projector.layers.0.feed_forward.intermediate.weight",
        2,
    ),
    "ln_vision.weight": ("projector.input_norm.weight", 1),
    "llm_proj.bias": ("projector.output.bias", 1),
}
_RELEASED = {new: old for old, (new, _) in _TELLING.items()}
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")
_LORA_NAME = "llm_model.base_model.model.model.layers.{}.attention.wqkv.lora_{}.default.weight"
_LORA = re.compile(
    r"llm_model\.base_model\.model\.model\.layers\.(\d+)\.attention\.wqkv\.lora_([AB])(?:\.default)?\.weight"
)


def convert_release_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The release's projector weights under the names of `ParGo`, without input norm and output Linear.

    Args:
        state: `query_tokens` [1, T, C] and the names below `ParGo.bert.` of the release. The table of position
            embeddings may be longer than T: BERT uses its first T rows.

    Raises:
        InputError: a name that is not part of the projector, or one that is missing; the message lists them.
    """
    converted, unknown = _convert_projector(state)
    if unknown:
        raise InputError(f"not weights of the release's projector: {', '.join(sorted(unknown))}")
    absent = {"query_tokens", "position_embeddings"} - converted.keys()
    if absent:
        raise InputError(f"release weights lack {', '.join(sorted(absent))}")
    return converted


def _convert_projector(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """What is known under our names, and the names that are not known."""
    converted, unknown = {}, []
    for name, tensor in state.items():
        layer = _LAYER.fullmatch(name)
        if layer and layer[2] in _BLOCKS:
            converted[f"layers.{layer[1]}.{_BLOCKS[layer[2]]}.{layer[3]}"] = tensor
        elif name in ("embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias"):
            converted[name.replace("embeddings.LayerNorm", "norm")] = tensor
        elif name == "query_tokens":
            if tensor.ndim != 3 or len(tensor) != 1:
                raise InputError(f"query_tokens {list(tensor.shape)} instead of [1, tokens, channels]")
            converted[name] = tensor[0]
        elif name == "embeddings.position_embeddings.weight":
            converted["position_embeddings"] = tensor
        elif name == "embeddings.position_ids":
            _check_positions(tensor)  # BERT's numbering of the positions: nothing learned
        else:
            unknown.append(name)
    positions = converted.get("position_embeddings")
    if positions is not None and positions.ndim == 2 and "query_tokens" in converted:
        converted["position_embeddings"] = positions[: len(converted["query_tokens"])]
    return converted, unknown


def _check_positions(positions: Tensor) -> None:
    if positions.flatten().tolist() != list(range(positions.numel())):
        raise InputError("embeddings.position_ids are not 0, 1, 2, ...: position embeddings would be others")


# The whole checkpoint -------------------------------------------------------------------------------------------------


@dataclass
class _Sorted:
    """The checkpoint's tensors by what they are."""

    projector: dict[str, Tensor] = field(default_factory=dict)
    ours: dict[str, Tensor] = field(default_factory=dict)
    lora: dict[tuple[int, str], Tensor] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)


def convert_release(
    checkpoint: Path,
    output: Path,
    *,
    num_heads: int = 8,
    num_partial_tokens: int = 288,
    num_language_layers: int = NUM_LAYERS,
    num_attention_heads: int = NUM_ATTENTION_HEADS,
    num_key_value_heads: int = NUM_KEY_VALUE_HEADS,
) -> ModelSettings:
    """Write a model directory (`model.safetensors`, `config.json`) from the released checkpoint.

    Args:
        checkpoint: file that `torch.save` wrote: the release's names, bare or below `model`, `state_dict`, `module.`.
        output: new directory, for `pargo export DIR --language ... --vision ...`.
        num_heads: of the projector's attention.
        num_partial_tokens: the first of the queries; the rest are global.
        num_language_layers, num_attention_heads, num_key_value_heads: of the language model that LoRA belongs to.

    Raises:
        PargoError: the output exists.
        InputError: the file cannot be read without running code from it; or tensors are missing, unexpected or
            mis-shaped, each listed.
    """
    state = _read(checkpoint)
    _check_values(checkpoint, state)
    found = _sort(state)
    converted, unknown = _convert_projector(found.projector)
    ours = {f"projector.{name}": tensor for name, tensor in converted.items()} | found.ours
    found.unexpected += [f"ParGo.bert.{name}" for name in unknown]
    _check_names(checkpoint, ours, found, num_language_layers)
    heads = num_attention_heads, num_key_value_heads
    ours |= _convert_lora(found.lora, num_language_layers, *heads)
    settings = _settings(ours, num_heads, num_partial_tokens, rank=min(found.lora[0, "A"].shape))
    language_size = len(ours["projector.output.bias"])
    check_names_and_shapes(str(checkpoint), ours, _expected(settings, num_language_layers, language_size, *heads))
    with new_directory(output) as temporary:
        save_file({name: tensor.float().contiguous() for name, tensor in ours.items()}, temporary / WEIGHTS)
        for name, content in (
            (CONFIG, settings.model_dump(mode="json")),
            (ORIGIN, {"file": checkpoint.name, "sha256": sha256_file(checkpoint)}),
        ):
            (temporary / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return settings


def _check_values(checkpoint: Path, state: Mapping[str, Tensor]) -> None:
    """Weights are finite numbers of a float type; positions are counted."""
    learned = {name: tensor for name, tensor in state.items() if not name.endswith("position_ids")}
    refuse(
        str(checkpoint),
        of_integers=sorted(name for name, tensor in learned.items() if not tensor.is_floating_point()),
        not_finite=sorted(name for name, tensor in learned.items() if not tensor.isfinite().all()),
    )


def _check_names(checkpoint: Path, ours: Mapping[str, Tensor], found: _Sorted, num_language_layers: int) -> None:
    """All tensors are there and no others; those whose sizes tell the others' have the right dimensions."""
    names = {f"projector.{name}" for name in _names(ours)}
    adapters = {(layer, side) for layer in range(num_language_layers) for side in "AB"}
    telling = [(old, ours[new], count) for old, (new, count) in _TELLING.items() if new in ours]
    telling += [(_LORA_NAME.format(*key), tensor, 2) for key, tensor in sorted(found.lora.items())]
    refuse(
        str(checkpoint),
        missing=[_RELEASED.get(name, name) for name in sorted(names - ours.keys())]
        + [_LORA_NAME.format(*key) for key in sorted(adapters - found.lora.keys())],
        unexpected=sorted(found.unexpected)
        + sorted(ours.keys() - names)
        + [_LORA_NAME.format(*key) for key in sorted(found.lora.keys() - adapters)],
        mis_shaped=[
            f"{name} {list(tensor.shape)}, not of {count} dimension(s)"
            for name, tensor, count in telling
            if tensor.ndim != count
        ],
    )


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint under bare names; `weights_only`: no code from the file is run."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path} is no checkpoint of plain tensors: it is damaged, or holds other objects, which are not read: "
            "they could run code"
        ) from error
    for wrapper in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise InputError(f"{path} does not hold tensors by name")
    # all names have it or none: else two names could mean one tensor
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def _sort(state: Mapping[str, Tensor]) -> _Sorted:
    found = _Sorted()
    whole = {"ln_vision.": "projector.input_norm.", "llm_proj.": "projector.output."}
    for name, tensor in state.items():
        prefix = next((old for old in whole if name.startswith(old)), None)
        lora = _LORA.fullmatch(name)
        if prefix is not None:
            found.ours[whole[prefix] + name.removeprefix(prefix)] = tensor
        elif lora and (int(lora[1]), lora[2]) not in found.lora:  # a second name for it is unexpected
            found.lora[int(lora[1]), lora[2]] = tensor
        elif name == "query_tokens":
            found.projector[name] = tensor
        elif name.startswith("ParGo.bert."):
            found.projector[name.removeprefix("ParGo.bert.")] = tensor
        else:
            found.unexpected.append(name)
    return found


def _settings(state: Mapping[str, Tensor], num_heads: int, num_partial_tokens: int, rank: int) -> ModelSettings:
    """What the weights say about the model, and what they cannot."""
    tokens, hidden_size = state["projector.query_tokens"].shape
    if num_partial_tokens > tokens:
        raise InputError(f"num_partial_tokens: {num_partial_tokens}, but the checkpoint has {tokens} queries")
    return ModelSettings(
        vision=VISION.model_copy(update={"feature_size": len(state["projector.input_norm.weight"])}),
        language=LANGUAGE,
        projector=PargoProjector(
            name="pargo",
            num_partial_tokens=num_partial_tokens,
            num_global_tokens=tokens - num_partial_tokens,
            hidden_size=hidden_size,
            num_layers=_num_layers(state),
            num_heads=num_heads,
            intermediate_size=len(state["projector.layers.0.feed_forward.intermediate.weight"]),
            self_attention="release",
        ),
        lora=Adapter(
            rank=rank,
            alpha=ALPHA_PER_RANK * rank,
            dropout=DROPOUT,
            target_modules=("q_proj", "k_proj", "v_proj"),
        ),
        template="release",
    )


def _convert_lora(
    lora: Mapping[tuple[int, str], Tensor],
    num_layers: int,
    num_attention_heads: int,
    num_key_value_heads: int,
) -> dict[str, Tensor]:
    """Adapters on `wqkv` as adapters on its three parts: A reads the same input, the rows of B belong to one part."""
    converted = {}
    for layer in range(num_layers):
        rows = split_rows(lora[layer, "B"], num_attention_heads, num_key_value_heads)
        for projection, part in rows.items():
            prefix = f"language_model.model.layers.{layer}.self_attn.{projection}"
            converted[f"{prefix}.lora_A.default.weight"] = lora[layer, "A"].clone()
            converted[f"{prefix}.lora_B.default.weight"] = part
    return converted


def _names(state: Mapping[str, Tensor]) -> list[str]:
    """Names of all weights that a projector with these layers has."""
    config = PargoProjector(
        name="pargo",
        num_partial_tokens=1,
        num_global_tokens=1,
        hidden_size=8,
        num_layers=_num_layers(state),
        num_heads=1,
        intermediate_size=8,
        self_attention="release",
    )
    with torch.device("meta"):
        return list(build_projector(config, ProjectorShape(1, 8, 8)).state_dict())


def _num_layers(state: Mapping[str, Tensor]) -> int:
    return max((int(name.split(".")[2]) for name in state if name.startswith("projector.layers.")), default=0) + 1


def _expected(
    settings: ModelSettings, num_layers: int, language_size: int, num_attention_heads: int, num_key_value_heads: int
) -> dict[str, torch.Size]:
    """Names and shapes of all that the model must have."""
    with torch.device("meta"):
        projector = build_projector(settings.projector, ProjectorShape.between(settings.vision, language_size))
    shapes = {f"projector.{name}": tensor.shape for name, tensor in projector.state_dict().items()}
    head_size, rank = language_size // num_attention_heads, settings.lora.rank
    sizes = {"q_proj": num_attention_heads, "k_proj": num_key_value_heads, "v_proj": num_key_value_heads}
    for layer in range(num_layers):
        for projection, heads in sizes.items():
            prefix = f"language_model.model.layers.{layer}.self_attn.{projection}"
            shapes[f"{prefix}.lora_A.default.weight"] = torch.Size((rank, language_size))
            shapes[f"{prefix}.lora_B.default.weight"] = torch.Size((heads * head_size, rank))
    return shapes
