"""Whether an exported processor writes the token ids of training: an export that does not is refused."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from pargo.data.pieces import IMAGE_PIECE, Piece, piece_ids, read_prompt
from pargo.data.template import IMAGE, conversation_pieces, question_pieces
from pargo.errors import PargoError
from pargo.models.processor import PargoProcessor

# what tokenizers treat in different ways: spaces, line breaks, scripts, numbers, the names of control tokens
PROBE = (
    ("Is  this\n\n a cat?  ", "No."),
    (" <image> or </s><|im_end|><|endoftext|>?\t", "12,345 \N{CAT FACE}\N{CJK UNIFIED IDEOGRAPH-732B}"),
)


def check_conversation(tokenizer: Any, processor: PargoProcessor) -> None:
    """Raise PargoError if a conversation of two turns gets other ids than the tokenizer of training gives it."""
    messages = [
        {"role": role, "content": text}
        for turn in PROBE
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    messages[0] = _with_image(PROBE[0][0])
    _check(tokenizer, processor, "a conversation of two turns", messages, list(conversation_pieces(PROBE)))


def check_question(tokenizer: Any, processor: PargoProcessor, name: str, text: str) -> None:
    """Raise PargoError if a question of this name is asked otherwise than the run asked it.

    Args:
        tokenizer: of the run.
        processor: exported, and loaded again.
        name: for the message.
        text: the question in its wording.
    """
    _check(tokenizer, processor, name, [_with_image(text)], [IMAGE_PIECE, *question_pieces(text)])


def _with_image(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}


def _check(
    tokenizer: Any, processor: PargoProcessor, name: str, messages: list[dict[str, Any]], pieces: Sequence[Piece]
) -> None:
    found = read_prompt(processor.apply_chat_template(messages))
    for trained, exported in zip_longest([piece for piece in pieces if piece.text], found):
        ids = [
            None if piece is None else piece_ids(own, [piece], [IMAGE])
            for own, piece in ((tokenizer, trained), (processor.tokenizer, exported))
        ]
        if ids[0] != ids[1]:
            raise PargoError(
                f"the exported processor would ask otherwise than the model was trained: in {name}, "
                f"{_text(trained)} is {ids[0]} in training, {_text(exported)} is {ids[1]} exported"
            )


def _text(piece: Piece | None) -> str:
    return "nothing" if piece is None else repr(piece.text)
