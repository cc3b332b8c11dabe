"""The language model: loaded from a local directory, frozen, optionally with LoRA adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
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
from pargo.errors import InputError
from pargo.machine import hardware
from pargo.models.fused import fuse
from pargo.models.weights import check_loading_info, no_progress_bar


def resolve_precision(precision: Literal["auto", "bf16", "fp32"]) -> torch.dtype:
    """The number type; `auto` is bfloat16 where the GPU, or without one the CPU, computes in it, else float32."""
    if precision == "auto":
        has_bf16 = (
            torch.cuda.is_bf16_supported()
            if torch.cuda.is_available()
            else hardware().endswith(("amx_bf16", "avx512_bf16"))
        )
        precision = "bf16" if has_bf16 else "fp32"
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a language model directory; never asks the network, never runs code from the directory."""
    _require_directory(directory)
    return AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)


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
                attn_implementation=config.attention,
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
    if config.attention == "eager":
        fuse(model)
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
