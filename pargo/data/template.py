"""The text around an image: how captions and conversations become token ids, and which of them are supervised.

The compact template has no fixed tokens but a newline, as most of a short question's cost would else be template:

    <image tokens> caption NEWLINE
    <image tokens> NEWLINE question SPACE answer NEWLINE question SPACE answer NEWLINE

The newline after an answer ends it: it is supervised, and generation stops there. Question and answer are tokenized
apart, so a prompt of evaluation has exactly the ids it had in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

IGNORE_INDEX = -100
MME_SUFFIX = " Please answer yes or no."


@dataclass(frozen=True)
class Encoded:
    """Token ids of the text after the image, and their labels (`IGNORE_INDEX` where not supervised); same length."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]


def _ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def encode_caption(tokenizer: Any, caption: str) -> Encoded:
    """All tokens of a caption, and the newline that ends it, are supervised."""
    ids = tuple(_ids(tokenizer, f" {caption}") + _ids(tokenizer, "\n"))
    return Encoded(ids, ids)


def encode_conversation(tokenizer: Any, turns: Sequence[tuple[str, str]]) -> Encoded:
    """Answers and the newlines after them are supervised, questions are not."""
    input_ids: list[int] = []
    labels: list[int] = []
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
    """Ids of the question as in training; the answer follows. Not `compact`: MME's answer-format sentence stays."""
    return _ids(tokenizer, "\n") + _ids(tokenizer, compact_question(question) if compact else question)


def stop_ids(tokenizer: Any) -> list[int]:
    """Tokens that end an answer: the newline and the tokenizer's end of sequence."""
    return _ids(tokenizer, "\n")[-1:] + ([tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else [])


def compact_question(question: str) -> str:
    """The question without MME's answer-format sentence, which fine-tuning makes redundant."""
    return question.removesuffix(MME_SUFFIX)
