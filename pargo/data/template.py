"""The text around an image: how captions and conversations become token ids, and which of them are supervised.

The compact template has no fixed tokens but a newline, as most of a short question's cost would else be template:

    IMAGE caption NEWLINE
    IMAGE NEWLINE question SPACE answer NEWLINE question SPACE answer NEWLINE

IMAGE is one placeholder here, and as many image tokens as the projector gives in a model's input.

The newline after an answer ends it: it is supervised, and generation stops there. Question and answer are tokenized
apart, so a prompt of evaluation has exactly the ids it had in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

IGNORE_INDEX = -100
IMAGE = -1  # stands for one image among token ids
MME_SUFFIX = " Please answer yes or no."


@dataclass(frozen=True)
class Encoded:
    """Token ids with `IMAGE` placeholders, and their labels (`IGNORE_INDEX` where not supervised); same length."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]


def _ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def encode_caption(tokenizer: Any, caption: str) -> Encoded:
    """All tokens of a caption, and the newline that ends it, are supervised."""
    ids = tuple(_ids(tokenizer, f" {caption}") + _ids(tokenizer, "\n"))
    return Encoded((IMAGE, *ids), (IGNORE_INDEX, *ids))


def encode_conversation(tokenizer: Any, turns: Sequence[tuple[str, str]]) -> Encoded:
    """Answers and the newlines after them are supervised, questions are not."""
    input_ids, labels = [IMAGE], [IGNORE_INDEX]
    newline = _ids(tokenizer, "\n")
    for index, (question, answer) in enumerate(turns):
        # the newline that opens a question is the one that ends the answer before it
        input_ids += newline
        labels += newline if index else [IGNORE_INDEX] * len(newline)
        for text, supervised in ((compact_question(question), False), (f" {answer}", True)):
            ids = _ids(tokenizer, text)
            input_ids += ids
            labels += ids if supervised else [IGNORE_INDEX] * len(ids)
    return Encoded(tuple(input_ids + newline), tuple(labels + newline))


def encode_prompt(tokenizer: Any, question: str, *, compact: bool = True) -> list[int]:
    """Image and question as in training; the answer follows. Not `compact`: MME's answer-format sentence stays."""
    return [IMAGE, *_ids(tokenizer, "\n"), *_ids(tokenizer, compact_question(question) if compact else question)]


def expand_images(ids: Sequence[int], image: Sequence[int]) -> list[int]:
    """The ids with every `IMAGE` placeholder replaced by the ids of an image."""
    return [token for item in ids for token in (image if item == IMAGE else (item,))]


def stop_ids(tokenizer: Any) -> list[int]:
    """Tokens that end an answer: the newline and the tokenizer's end of sequence."""
    return _ids(tokenizer, "\n")[-1:] + ([tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else [])


def compact_question(question: str) -> str:
    """The question without MME's answer-format sentence, which fine-tuning makes redundant."""
    return question.removesuffix(MME_SUFFIX)
