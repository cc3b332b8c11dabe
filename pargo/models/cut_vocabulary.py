"""A language model cut to the tokens that some texts have: what it is asked and says stays the same, token by token.

The output layer of a small language model has more weights than a cut of its decoder, and nearly all of them are of
tokens that toy-scale texts never have. The tokenizer keeps its bytes, so any text can still be written, in more tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pargo.errors import InputError

FILE = "tokenizer.json"
ID_NAMES = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id")


def kept_tokens(tokenizer: PreTrainedTokenizerBase, used: Iterable[int]) -> list[int]:
    """Ids of the tokens that stay, in rising order: the used ones, what they are merged of, bytes and added tokens.

    Raises:
        InputError: the tokenizer is no BPE over bytes.
    """
    data = _read(tokenizer)
    vocabulary, merges = data["model"]["vocab"], _merges(data)
    names = {number: token for token, number in vocabulary.items()}
    parents = {first + second: (first, second) for first, second in reversed(merges)}
    waiting = [names[number] for number in used if number in names]
    waiting += [token for token in vocabulary if len(token) == 1]
    kept: set[str] = set()
    while waiting:
        token = waiting.pop()
        if token not in kept:
            kept.add(token)
            waiting += parents.get(token, ())
    added = [token["id"] for token in data["added_tokens"]]
    return sorted({*(vocabulary[token] for token in kept), *added})


def cut_tokenizer(tokenizer: PreTrainedTokenizerBase, kept: Sequence[int], directory: Path) -> None:
    """Write a tokenizer that has the kept tokens alone, with new ids in the same order.

    Raises:
        InputError: as of `kept_tokens`.
    """
    data = _read(tokenizer)
    new = {old: number for number, old in enumerate(kept)}
    vocabulary = {token: new[old] for token, old in data["model"]["vocab"].items() if old in new}
    data["model"]["vocab"] = vocabulary
    data["model"]["merges"] = [
        [first, second]
        for first, second in _merges(data)
        if first in vocabulary and second in vocabulary and first + second in vocabulary
    ]
    for token in data["added_tokens"]:
        token["id"] = new[token["id"]]
    for special in ((data.get("post_processor") or {}).get("special_tokens") or {}).values():
        special["ids"] = [new[old] for old in special["ids"]]
    tokenizer.save_pretrained(directory)
    (directory / FILE).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


@torch.no_grad()
def cut_matrices(model: PreTrainedModel, kept: Sequence[int]) -> None:
    """Leave only the kept rows of embeddings and output layer, in place; the model is then as if defined with so many.

    Args:
        model: a causal language model.
        kept: ids in rising order.

    Raises:
        InputError: one of its own tokens, such as that of the end, is not kept.
    """
    rows, config = torch.tensor(kept), model.config
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    new = {old: number for number, old in enumerate(kept)}
    for part in (config, model.generation_config):
        for name in ID_NAMES:
            setattr(part, name, _renumbered(new, name, getattr(part, name, None)))
    before = model.get_input_embeddings().weight
    embeddings = nn.Embedding(len(kept), before.shape[1], dtype=before.dtype)
    embeddings.weight.copy_(before[rows])
    head = nn.Linear(before.shape[1], len(kept), bias=False, dtype=before.dtype)
    head.weight.copy_(model.get_output_embeddings().weight[rows])
    model.set_input_embeddings(embeddings)
    if tied:
        head.weight = embeddings.weight
    model.set_output_embeddings(head)
    config.vocab_size = len(kept)
    model.requires_grad_(False)


def check_same(before: PreTrainedTokenizerBase, after: PreTrainedTokenizerBase, texts: Iterable[str]) -> None:
    """Raise InputError unless all texts are cut into the same tokens."""
    for text in texts:
        old, new = before.tokenize(text), after.tokenize(text)
        if old != new:
            raise InputError(f"the cut vocabulary writes {text[:80]!r} as {new}, and not as {old}")


def _renumbered(new: Mapping[int, int], name: str, old: Any) -> Any:
    """A token's new id, or those of several; none stays none."""
    if old is None or old == -1:
        return None
    if isinstance(old, list):
        return [_renumbered(new, name, one) for one in old]
    if old not in new:
        raise InputError(f"the cut vocabulary has no token {old}, which is the language model's {name}")
    return new[old]


def _read(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    data = json.loads(backend.to_str()) if backend is not None else {"model": {}}
    if data["model"].get("type") != "BPE" or (data.get("decoder") or {}).get("type") != "ByteLevel":
        raise InputError(
            f"language.warm_up.vocabulary: texts: {type(tokenizer).__name__} is no BPE over bytes, and cannot be cut; "
            "write all"
        )
    return data


def _merges(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for merge in data["model"]["merges"]:
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        found.append((first, second))
    return found
