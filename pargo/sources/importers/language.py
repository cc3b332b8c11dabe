"""A language source: config, safetensors and tokenizer in one directory, which transformers loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedTokenizerBase

from pargo.errors import InputError
from pargo.models.vocabulary import check_vocabulary
from pargo.models.weights import no_progress_bar


def save_language_model(
    directory: Path,
    config: PreTrainedConfig,
    weights: Mapping[str, torch.Tensor],
    tokenizer: PreTrainedTokenizerBase,
    *,
    dtype: torch.dtype,
) -> None:
    """Write config, weights in `dtype` and tokenizer; every tensor of the architecture must be there.

    Raises:
        InputError: weights or a tokenizer of another model, or a tokenizer that has no newline.
    """
    check_vocabulary(tokenizer, config)
    model = AutoModelForCausalLM.from_config(config).to(dtype)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise InputError(f"weights do not fit the architecture: {error}") from error
    written = model.state_dict()
    # two names of one matrix take the last that was given
    if lost := [name for name, values in weights.items() if not torch.equal(written[name], values.to(dtype))]:
        raise InputError(f"tied by the config, but given as different matrices: {', '.join(lost)} and what it equals")
    with no_progress_bar():
        model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    for path in directory.iterdir():
        path.chmod(0o644)
