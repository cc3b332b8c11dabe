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

from pargo.data.pieces import text_tokenizer
from pargo.errors import InputError

FILE = "tokenizer.json"
ID_NAMES = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id")


def kept_tokens(tokenizer: PreTrainedTokenizerBase, used: Iterable[int]) -> list[int]:
    """Ids of the tokens that stay, in rising order: the used ones, what they are merged of, bytes and added tokens.

    Raises:
        InputError: the tokenizer is no BPE over bytes.
    """
    data = _read(tokenizer)
    vocabulary = data["model"]["vocab"]
    names = {number: token for token, number in vocabulary.items()}
    parents: dict[str, list[str]] = {}  # some vocabularies list every way to build a token
    for first, second in _merges(data):
        parents.setdefault(first + second, []).extend((first, second))
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
        InputError: as of `kept_tokens`, or it puts tokens around a text in a way that is not known here.
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
    _renumber_processor(data.get("post_processor"), new)
    tokenizer.save_pretrained(directory)
    (directory / FILE).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _renumber_processor(processor: dict[str, Any] | None, new: Mapping[int, int]) -> None:
    """New ids in what puts tokens around a text, in place."""
    kind = (processor or {}).get("type")
    if processor is None or kind == "ByteLevel":
        return
    if kind == "Sequence":
        for part in processor["processors"]:
            _renumber_processor(part, new)
    elif kind == "TemplateProcessing":
        for special in processor["special_tokens"].values():
            special["ids"] = [new[old] for old in special["ids"]]
    else:
        raise InputError(f"language.warm_up.vocabulary: texts: the tokenizer's {kind} is not known here; write all")


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
    new = {old: number for number, old in enumerate(kept)}
    for part in (config, model.generation_config):
        for name in ID_NAMES:
            setattr(part, name, _renumbered(new, name, getattr(part, name, None)))
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head.weight is embeddings.weight
    embeddings.weight = nn.Parameter(embeddings.weight[rows], requires_grad=False)
    embeddings.num_embeddings = head.out_features = config.vocab_size = len(kept)
    head.weight = embeddings.weight if tied else nn.Parameter(head.weight[rows], requires_grad=False)


def check_same(
    before: PreTrainedTokenizerBase, after: PreTrainedTokenizerBase, kept: Sequence[int], texts: Iterable[str]
) -> None:
    """Raise InputError unless all texts are written in the same tokens, as pieces of a sample, and what goes around."""
    old, new = text_tokenizer(before), text_tokenizer(after)
    for text in texts:
        if old.plain(text) != [kept[number] for number in new.plain(text)]:
            raise InputError(f"the cut vocabulary writes {text[:80]!r} in other tokens")
    if before("")["input_ids"] != [kept[number] for number in after("")["input_ids"]]:
        raise InputError("the cut vocabulary puts other tokens around a text")


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
