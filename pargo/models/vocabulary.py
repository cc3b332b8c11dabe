"""Tokenizer, config and matrices of a language model's vocabulary: do they belong together?"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from pargo.data.pieces import text_tokenizer
from pargo.errors import InputError

NOT_TIED = (
    "config.json says tie_word_embeddings true, but the weights hold an output layer that differs from the embeddings; "
    "programs disagree on which of them such a model answers with. If the output layer is its own, set it to false; "
    "else leave the output layer out of the weights"
)
_NAMED = 4  # tokens named in a message, at most


def read_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a language model directory, without code from it.

    Raises:
        InputError: there is none, or `check_vocabulary` refuses it.
    """
    place = {"pretrained_model_name_or_path": directory, "local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**place)
        config = AutoConfig.from_pretrained(**place)
    except (OSError, ValueError) as error:
        raise InputError(f"{directory} does not hold a tokenizer and config of a language model: {error}") from error
    try:
        check_vocabulary(tokenizer, config)
    except InputError as error:
        raise InputError(f"{directory}: {error}") from None
    return tokenizer


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """Refuse a tokenizer of another model, and one without a newline.

    Embeddings may have more rows than there are tokens, as Qwen2's. A token without a row is refused even if no text
    has it: rows added here would never be trained, as the language model is frozen, and padding may use it.

    Args:
        tokenizer: of the language model.
        config: of the language model.

    Raises:
        InputError: a token's id, or one of the config's ids of begin, end and padding, is not a row of the embeddings,
            or no token is a newline.
    """
    rows = config.get_text_config().vocab_size
    outside = sorted((index, token) for token, index in tokenizer.get_vocab().items() if index >= rows)
    if outside:
        names = ", ".join(f"{token!r} {index}" for index, token in outside[:_NAMED])
        raise InputError(
            f"the tokenizer has {len(tokenizer)} tokens with ids up to {outside[-1][0]}, but the language model has "
            f"embeddings for {rows}, ids 0 to {rows - 1}; without one: {names}{', ...' if outside[_NAMED:] else ''}. "
            "Take these tokens out of the tokenizer's files, or use the model that was trained with them"
        )
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        ids = getattr(config.get_text_config(), name, None)
        # -1 is what some files write for none
        wrong = [index for index in (ids if isinstance(ids, list) else [ids]) if not -1 <= (index or 0) < rows]
        if wrong:
            raise InputError(
                f"config.json: {name} is {', '.join(map(str, wrong))}, but the language model has embeddings for "
                f"{rows} tokens, ids 0 to {rows - 1}: correct it, or set it to null"
            )
    text_tokenizer(tokenizer)  # refuses one that has no newline


def check_output_layer(directory: Path) -> None:
    """Compare what config.json says of the output layer with the weights, of which at most two matrices are read.

    Weights under other names than the model's own are left to `load_language_model`, which reads them all.

    Raises:
        InputError: tied by the config, but two different matrices; or not tied, but only one.
    """
    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    names = {id(module): f"{name}.weight" for name, module in model.named_modules()}
    both = [names[id(part())] for part in (model.get_input_embeddings, model.get_output_embeddings) if part()]
    found: dict[str, Path] = {}
    for path in sorted(directory.glob("model*.safetensors")):
        with safe_open(path, "pt") as file:
            found |= {name: path for name in set(both) & set(file.keys())}
    if len(found) == 2 and config.tie_word_embeddings:
        matrices = []
        for name, path in found.items():
            with safe_open(path, "pt") as file:
                matrices.append(file.get_tensor(name))
        if not torch.equal(*matrices):
            raise InputError(f"{directory}: {NOT_TIED}")
    if len(found) == 1 and not config.tie_word_embeddings:
        raise InputError(
            f"{directory}: config.json says tie_word_embeddings false, but of {' and '.join(both)} the weights hold "
            f"only {next(iter(found))}; if one matrix serves as both, set it to true"
        )
