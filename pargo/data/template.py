"""The text around an image: how captions and conversations become token ids, and which of them are supervised.

The compact template has no fixed tokens but a newline, as most of a short question's cost would else be template:

    IMAGE caption NEWLINE
    IMAGE NEWLINE question SPACE answer NEWLINE question SPACE answer NEWLINE

IMAGE is one placeholder here, and as many image tokens as the projector gives in a model's input.

The newline after an answer ends it: it is supervised, and generation stops there. Newline, question and answer are
pieces that are tokenized apart, so a prompt of evaluation has exactly the ids it had in training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pargo.data.pieces import IMAGE_PIECE, TEXT, Piece, piece_ids, text_tokenizer

IGNORE_INDEX = -100
IMAGE = -1  # stands for one image among token ids
MME_SUFFIX = " Please answer yes or no."


@dataclass(frozen=True)
class Encoded:
    """Token ids with `IMAGE` placeholders, and their labels (`IGNORE_INDEX` where not supervised); same length."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]


def caption_pieces(caption: str) -> list[Piece]:
    """An image and its caption."""
    return [IMAGE_PIECE, Piece(TEXT, f" {caption}", supervised=True), Piece(TEXT, "\n", supervised=True)]


def conversation_pieces(turns: Iterable[tuple[str, str]]) -> Iterator[Piece]:
    """An image, and questions with their answers; the newline that opens a question ends the answer before it."""
    yield IMAGE_PIECE
    answered = False
    for question, answer in turns:
        yield from question_pieces(question, answered=answered)
        if answer:
            yield Piece(TEXT, f" {answer}", supervised=True)
        answered = True
    yield Piece(TEXT, "\n", supervised=answered)


def question_pieces(question: str, *, answered: bool = False) -> list[Piece]:
    """A question, after an image or after an answer."""
    return [Piece(TEXT, "\n", supervised=answered), Piece(TEXT, question)]


def encode_caption(tokenizer: Any, caption: str) -> Encoded:
    """All tokens of a caption, and the newline that ends it, are supervised."""
    return encode(tokenizer, caption_pieces(caption))


def encode_conversation(tokenizer: Any, turns: Sequence[tuple[str, str]]) -> Encoded:
    """Answers and the newlines after them are supervised, questions are not."""
    return encode(tokenizer, conversation_pieces((compact_question(question), answer) for question, answer in turns))


def encode(tokenizer: Any, pieces: Iterable[Piece]) -> Encoded:
    """Pieces in a row; those that are supervised have labels."""
    input_ids: list[int] = []
    labels: list[int] = []
    for piece in pieces:
        ids = piece_ids(tokenizer, [piece], [IMAGE])
        input_ids += ids
        labels += ids if piece.supervised else [IGNORE_INDEX] * len(ids)
    return Encoded(tuple(input_ids), tuple(labels))


def encode_prompt(tokenizer: Any, question: str, *, compact: bool = True) -> list[int]:
    """Image and question as in training; the answer follows. Not `compact`: MME's answer-format sentence stays."""
    asked = question_pieces(compact_question(question) if compact else question)
    return piece_ids(tokenizer, [IMAGE_PIECE, *asked], [IMAGE])


def encode_answer(tokenizer: Any, answer: str) -> list[int]:
    """An answer or caption as it follows a prompt in training, without the newline that ends it."""
    return text_tokenizer(tokenizer).plain(f" {answer}")


def expand_images(ids: Sequence[int], image: Sequence[int]) -> list[int]:
    """The ids with every `IMAGE` placeholder replaced by the ids of an image."""
    return [token for item in ids for token in (image if item == IMAGE else (item,))]


def stop_ids(tokenizer: Any) -> list[int]:
    """Tokens that end an answer: the newline and the tokenizer's end of sequence."""
    newline = text_tokenizer(tokenizer).newline
    return [*newline] + ([tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else [])


def compact_question(question: str) -> str:
    """The question without MME's answer-format sentence, which fine-tuning makes redundant."""
    return question.removesuffix(MME_SUFFIX)
