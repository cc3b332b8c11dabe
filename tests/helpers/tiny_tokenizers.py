"""Tokenizers of the families that language models have, trained small on this project's own files.

Each is saved as its models have it, and loaded as a language source's is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import GPTSw3Tokenizer, LlamaConfig, LlamaTokenizer, PreTrainedTokenizerFast
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as QWEN2

from pargo.code import ROOT
from pargo.models.language import load_tokenizer
from pargo.sources.importers.internlm2 import convert_internlm2_tokenizer

SIZE = 600
CODE = """def count(items: list[int]) -> int:
    # how many are there?
    return sum(1 for item in items if item["id"] != "\\u2581" and item >= 0)  # {'a': 1}, [2]
"""
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
CHAT = ("<|im_start|>", "<|im_end|>")
_BYTE = re.compile("<0x[0-9A-F]{2}>")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


ROOT_FOLDER = TemporaryDirectory(prefix="tiny-tokenizers-")  # gone when this process ends


def new_folder() -> Path:
    """An empty folder for as long as the tests run."""
    return Path(mkdtemp(dir=ROOT_FOLDER.name))


@cache
def corpus() -> Path:
    """Lines with code, sentences that end a line, and text with special characters."""
    path = new_folder() / "corpus.txt"
    texts = [(ROOT / "LICENSE").read_text(), CODE * 300]
    texts += ["Is it a cat? No.\nHow many are there? 2.\nIs there a circle? Yes.\n" * 300]
    path.write_text("\n".join(texts))
    return path


@cache
def sentencepiece_model(**settings: Any) -> Path:
    """Llama 2's settings, and what is said here."""
    folder = new_folder()
    given = {
        "vocab_size": SIZE,
        "model_type": "bpe",
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": True,
        "hard_vocab_limit": False,
        "unk_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "pad_id": -1,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus()), model_prefix=str(folder / "tokenizer"), **(given | settings)
    )
    return folder / "tokenizer.model"


def _llama(**settings: Any) -> Any:
    folder = new_folder()
    (folder / "tokenizer.model").write_bytes(sentencepiece_model().read_bytes())
    named = {"tokenizer_class": "LlamaTokenizer", **SPECIAL, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    return LlamaTokenizer.from_pretrained(folder, local_files_only=True)


def _published_llama() -> Any:
    """As the tokenizer.json that lies beside Llama 2, TinyLlama and Vicuna: the prefix is a step of its normalizer."""
    backend = _llama().backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    backend.pre_tokenizer = None
    return PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL)


def _internlm2() -> Any:
    folder = new_folder()
    (folder / "tokenizer.model").write_bytes(sentencepiece_model(add_dummy_prefix=False).read_bytes())
    added = {str(SIZE + index): {"content": word, "special": True} for index, word in enumerate(CHAT)}
    settings = {**SPECIAL, "pad_token": "</s>", "added_tokens_decoder": added}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return convert_internlm2_tokenizer(folder)


def _bytes(pre_tokenizer: Any, *, end: str, special: tuple[str, ...], ordinary: tuple[str, ...] = ()) -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train([str(corpus())], trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=end, eos_token=end)
    made.add_special_tokens({"additional_special_tokens": list(special)}, replace_extra_special_tokens=False)
    made.add_tokens([AddedToken(word, normalized=False) for word in ordinary])
    return made


def _split(pattern: str) -> Any:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _gpt2(*, prefix: bool = False) -> Any:
    return _bytes(pre_tokenizers.ByteLevel(add_prefix_space=prefix), end="<|endoftext|>", special=())


def _smollm2() -> Any:
    digits = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return _bytes(digits, end="<|im_end|>", special=("<|im_start|>", "<|endoftext|>"))


FAMILIES: dict[str, Callable[[], Any]] = {
    "llama2": lambda: _llama(legacy=False, add_bos_token=True),
    "llama2_legacy": lambda: _llama(legacy=True, add_bos_token=True),
    "llama2_published": _published_llama,
    "internlm2": _internlm2,
    "llama3": lambda: _bytes(_split(LLAMA3), end="<|end_of_text|>", special=("<|eot_id|>", "<|start_header_id|>")),
    "qwen2": lambda: _bytes(_split(QWEN2), end="<|endoftext|>", special=CHAT, ordinary=("<tool_call>",)),
    "smollm2": _smollm2,
    "gpt2": _gpt2,
    # runs of spaces as tokens of their own, as in Phi and Pythia
    "spaces": lambda: _bytes(_split(QWEN2), end="<|endoftext|>", special=CHAT, ordinary=("    ", "  ")),
    # GPT-2's other setting, as in RoBERTa
    "gpt2_prefix": lambda: _gpt2(prefix=True),
}
PREFIXED = ("llama2", "llama2_legacy", "llama2_published", "gpt2_prefix", "gpt_sw3", "gpt_sw3_legacy")


def slow(*, legacy: bool) -> Any:
    """A tokenizer in Python around sentencepiece."""
    return GPTSw3Tokenizer(str(sentencepiece_model()), legacy=legacy, name_or_path="tiny")


@cache
def family(name: str) -> Any:
    """A tokenizer of this family, saved and loaded."""
    if name.startswith("gpt_sw3"):
        return slow(legacy=name.endswith("legacy"))
    folder = new_folder()
    save(FAMILIES[name](), folder)
    return load_tokenizer(folder)


def save(tokenizer: Any, folder: Path) -> None:
    """Where `load_tokenizer` finds it."""
    tokenizer.save_pretrained(folder)
    LlamaConfig().save_pretrained(folder)


def spell(tokenizer: Any, ids: Sequence[int]) -> str:
    """What ids of a sentencepiece vocabulary say, one `[image]` for each -1, with its spaces as they are."""
    tokens = ["[image]" if token == -1 else tokenizer.convert_ids_to_tokens(int(token)) for token in ids]
    parts = [bytes([int(token[3:5], 16)]) if _BYTE.fullmatch(token) else token.encode() for token in tokens]
    return b"".join(parts).decode().replace("\u2581", " ")
