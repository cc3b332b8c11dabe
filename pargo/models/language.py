"""The language model: loaded from a local directory, frozen, optionally with LoRA adapters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.pytorch_utils import Conv1D

from pargo.config.layers import check_layers
from pargo.config.models import NOT_ADAPTED, Adapter, Language
from pargo.errors import InputError
from pargo.models.choices import fastest
from pargo.models.vocabulary import NOT_TIED, read_tokenizer
from pargo.models.weights import check_loading_info, no_progress_bar


def resolve_precision(precision: Literal["auto", "bf16", "fp32"]) -> torch.dtype:
    """The number type; `auto` is bfloat16 where products of matrices are measured to be faster in it."""
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if precision != "auto":
        return types[precision]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ways = {}
    for name, kind in types.items():
        x, weight = (torch.ones(size, 768, dtype=kind, device=device) for size in (256, 1536))
        ways[name] = partial(F.linear, x, weight)
    return types[fastest("precision of a matrix product, 256 x 768 x 1536", ways)]


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a language model directory; never asks the network, never runs code from the directory.

    Raises:
        InputError: there is none, it has no newline, or it gives ids that are not in the model's vocabulary.
    """
    _require_directory(directory)
    return read_tokenizer(directory)


def load_language_model(config: Language, directory: Path) -> PreTrainedModel:
    """The frozen language model in the configured precision.

    Its directory's generation settings are dropped: what generation does is decided by this project's config alone.

    Raises:
        InputError: no such directory, weights that do not match the model's definition, two different matrices
            where the config says that they are one, `layers` that it does not have, or with `warm_up`, after which a
            model is cut already, another number of them.
    """
    _require_directory(directory)
    try:
        with no_progress_bar():
            model, loading = AutoModelForCausalLM.from_pretrained(
                directory,
                dtype=resolve_precision(config.precision),
                attn_implementation="eager" if config.attention == "eager" else "sdpa",
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{directory} does not hold a language model: {error}") from error
    check_loading_info(str(directory), loading)
    if model.config.tie_word_embeddings and not _is_tied(model):
        raise InputError(f"{directory}: {NOT_TIED}")
    if config.layers is not None and config.warm_up is None:
        check_layers(config, model.config.num_hidden_layers)
        keep_layers(model, config.layers)
    elif config.layers is not None and len(config.layers) != model.config.num_hidden_layers:
        raise InputError(
            f"{directory} has {model.config.num_hidden_layers} layers, and not the {len(config.layers)} that are left "
            "by the warm-up: it is another language model"
        )
    model.generation_config = GenerationConfig()
    model.requires_grad_(False)
    return model


def keep_layers(model: PreTrainedModel, layers: Sequence[int]) -> None:
    """Leave only some decoder layers, in place; the model is then as if it had been defined with so many.

    Args:
        model: a causal language model.
        layers: the numbers of those that stay, in rising order.

    Raises:
        InputError: its decoder has no list `layers`.
    """
    decoder, config = model.get_decoder(), model.config
    if not isinstance(found := getattr(decoder, "layers", None), nn.ModuleList):
        raise InputError(f"language.layers: {type(decoder).__name__} has no list of layers that could be cut")
    decoder.layers = nn.ModuleList(found[number] for number in layers)
    for place, layer in enumerate(decoder.layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = place  # of its part in the cache
    config.num_hidden_layers = len(layers)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[number] for number in layers]


def add_lora(model: PreTrainedModel, adapter: Adapter, seed: int) -> None:
    """Put LoRA adapters into linear layers of a frozen model, in place; only they are trainable then, in float32.

    Args:
        model: a causal language model.
        adapter: their size and place.
        seed: of the initialisation, which does not depend on anything else.

    Raises:
        InputError: target modules that the model does not have, or that are no linear layers between the embeddings and
            the output layer.
    """
    targets = adapter.target_modules
    output, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(config, model)
        except ValueError as error:
            raise InputError(f"lora.target_modules: {error}") from error
        adapted = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
        for name, module in adapted.items():
            base = module.get_base_layer()
            if base is output:
                raise InputError(f"lora.target_modules: {name} is the output layer, {NOT_ADAPTED['output']}")
            if base is embeddings:
                raise InputError(f"lora.target_modules: {name} holds the embeddings, {NOT_ADAPTED['embeddings']}")
            if not isinstance(base, (nn.Linear, Conv1D)):
                raise InputError(f"lora.target_modules: {name} is a {type(base).__name__}, not a linear layer")
        _check_all_match(model, targets, adapted)
        for module in model.modules():
            if isinstance(module, LoraLayer):
                # drawn again after the cast: in a bf16 model the first draw is rounded
                for name in ("lora_A", "lora_B"):
                    getattr(module, name).float()
                module.reset_lora_parameters("default", True)


def _check_all_match(model: PreTrainedModel, targets: str | Sequence[str], adapted: Iterable[str]) -> None:
    """Raise InputError for a name that is no layer's: peft passes over it when another one is found."""
    found = {name.rpartition(".")[2] for name in adapted}
    missing = (
        []
        if isinstance(targets, str)
        else [target for target in targets if not any(f".{name}".endswith(f".{target}") for name in adapted)]
    )
    if missing:
        linear = {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, (nn.Linear, Conv1D)) and "lora_" not in name
        } - {"base_layer"}
        choices = ", ".join(sorted(linear | found))
        raise InputError(f"lora.target_modules: no layer is called {', '.join(missing)}; choices: {choices}")


def _is_tied(model: PreTrainedModel) -> bool:
    output = model.get_output_embeddings()
    return output is None or output.weight is model.get_input_embeddings().weight


def _require_directory(directory: Path) -> None:
    if not (directory / "config.json").is_file():
        raise InputError(f"{directory} is not a language model directory: it has no config.json")
