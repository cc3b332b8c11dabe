"""The language model: loaded from a local directory, frozen, optionally with LoRA adapters."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from pargo.config.models import Adapter, Language
from pargo.data.pieces import text_tokenizer
from pargo.errors import InputError
from pargo.models.choices import fastest
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
        InputError: no such directory, or a tokenizer without a newline.
    """
    _require_directory(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    text_tokenizer(tokenizer)
    return tokenizer


def load_language_model(config: Language, directory: Path) -> PreTrainedModel:
    """The frozen language model in the configured precision.

    Its directory's generation settings are dropped: what generation does is decided by this project's config alone.

    Raises:
        InputError: no such directory, or weights that do not match the model's definition.
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
    model.generation_config = GenerationConfig()
    model.requires_grad_(False)
    return model


def add_lora(model: PreTrainedModel, adapter: Adapter, seed: int) -> None:
    """Put LoRA adapters into a frozen model, in place; only they are trainable afterwards, in float32.

    Args:
        model: a causal language model.
        adapter: their size and place.
        seed: of the initialisation, which does not depend on anything else.

    Raises:
        InputError: target modules that the model does not have.
    """
    targets = adapter.target_modules
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
        for module in model.modules():
            if isinstance(module, LoraLayer):
                # drawn again after the cast: in a bf16 model the first draw is rounded
                for name in ("lora_A", "lora_B"):
                    getattr(module, name).float()
                module.reset_lora_parameters("default", True)


def _require_directory(directory: Path) -> None:
    if not (directory / "config.json").is_file():
        raise InputError(f"{directory} is not a language model directory: it has no config.json")
