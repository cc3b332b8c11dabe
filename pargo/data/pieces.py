"""A prompt as pieces, and the token ids of each piece: the same in training, evaluation and exported models.

A template writes pieces of three kinds. Each is tokenized by itself, so that the ids of a piece never depend on what
stands beside it. Text of data is only ever text: a `</s>` or `<image>` in it becomes no control token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from pargo.errors import InputError

IMAGE_TOKEN = "<image>"  # noqa: S105 - no password
# What a piece is, as the character that stands before it in a prompt of one string. Unicode keeps these for use inside
# of programs: they are no characters of any text, and are removed where a text has them all the same.
TEXT = "\ufdd0"  # goes on after what is before it
OPENING = "\ufdd1"  # text as at the start of a document: sentencepiece puts a space before it
CONTROL = "\ufdd2"  # a token by its name
PIECE_MARKS = "piece_marks"  # variable of chat templates that asks for these marks
_MARKS = f"{TEXT}{OPENING}{CONTROL}"
_PARTS = re.compile(f"([{_MARKS}])")
_NO_MARKS = dict.fromkeys(map(ord, _MARKS))
KNOWN_TEXTS, SHORT = 4_096, 100  # whose ids are remembered: so many, of so many characters at most
# Characters to tokenize a text behind; the first is in no vocabulary, and the others are for those without bytes
_LEADS = ("\U0010fffd", "\n", ".", "0", "a")


class Piece(NamedTuple):
    """A part of a prompt: its kind (`TEXT`, `OPENING` or `CONTROL`), and whether a model learns to write it."""

    kind: str
    text: str
    supervised: bool = False


IMAGE_PIECE = Piece(CONTROL, IMAGE_TOKEN)


def is_marked(prompt: str) -> bool:
    """Whether a prompt says where its pieces begin; one written by hand does not."""
    return _PARTS.search(prompt) is not None


def write_prompt(pieces: Iterable[Piece]) -> str:
    """Pieces as one string, as the chat templates of exported models write them."""
    return "".join(f"{piece.kind}{piece.text.translate(_NO_MARKS)}" for piece in pieces)


def read_prompt(prompt: str) -> list[Piece]:
    """The pieces of such a string.

    Raises:
        InputError: it begins with text that is in no piece.
    """
    first, *rest = _PARTS.split(prompt)
    if first:
        raise InputError(
            f"a prompt with pieces (of apply_chat_template) begins with the text {first[:80]!r}, which is in none: "
            "put it into a message, and prompts written by hand into a batch of their own"
        )
    return [Piece(kind, text) for kind, text in zip(rest[::2], rest[1::2], strict=True) if text]


class TextTokenizer:
    """What a tokenizer makes of pieces.

    Args:
        tokenizer: of transformers, of any kind.

    Raises:
        InputError: it has no newline, so no answer would end.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
        special = {token.content: index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
        special |= dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
        self._control = special
        words = sorted((word for word in {*special, IMAGE_TOKEN} if len(word) > 1), key=len, reverse=True)
        # an unknown token stands for characters that the vocabulary lacks, whatever the text says
        self._reserved = set(tokenizer.convert_tokens_to_ids(words)) - {tokenizer.unk_token_id, None}
        # within each such word, after its first character
        self._breaks = re.compile("|".join(f"(?<={re.escape(word[0])})(?={re.escape(word[1:])})" for word in words))
        self._leads = self._find_leads() if self._puts_prefix() else []
        self.newline = self._find_newline()
        # questions come again and again, in training and in benchmarks
        self._known = lru_cache(maxsize=KNOWN_TEXTS)(self._plain)

    def ids(self, piece: Piece) -> list[int]:
        """Token ids of a piece.

        Raises:
            InputError: the tokenizer makes a control token of text, however it is split.
        """
        if piece.kind == CONTROL:
            known = self._control.get(piece.text)
            if known is not None:
                return [known]
            return self._tokenizer(piece.text, add_special_tokens=False, split_special_tokens=False)["input_ids"]
        return self.plain(piece.text, opening=piece.kind == OPENING)

    def plain(self, text: str, *, opening: bool = False) -> list[int]:
        """Token ids of text in which nothing is a control token.

        Args:
            text: of data or of a template.
            opening: it begins a document; else it goes on, without the space that sentencepiece puts before a text.

        Raises:
            InputError: as of `ids`.
        """
        return list((self._known if len(text) <= SHORT else self._plain)(text, opening))

    def _plain(self, text: str, opening: bool) -> list[int]:
        text = text.translate(_NO_MARKS)
        if text == "\n" and not opening:
            return list(self.newline)
        ids = self._text(text, opening)
        if self._reserved.isdisjoint(ids):
            return ids
        # some vocabularies spell a control word out of plain pieces
        first, *rest = self._breaks.split(text)
        ids = [*self._text(first, opening), *(token for part in rest for token in self._text(part, False))]
        if not self._reserved.isdisjoint(ids):
            raise InputError(f"the tokenizer {self._name} makes a control token of the text {text[:80]!r}")
        return ids

    def _text(self, text: str, opening: bool) -> list[int]:
        if not text:
            return []
        if opening or not self._leads:
            return self._call(text)
        for lead, before in self._leads:
            ids = self._call(lead + text)
            if ids[: len(before)] == before:
                return ids[len(before) :]
        raise InputError(f"the tokenizer {self._name} cannot write {text[:80]!r} within a text")

    def _call(self, text: str) -> list[int]:
        try:
            return self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        except (TypeError, UnicodeEncodeError):  # what the two kinds of tokenizers raise
            raise InputError(
                f"{text.lstrip(_LEADS[0])[:80]!r} is no text: it holds half of a character (a lone surrogate), "
                "as damaged files do"
            ) from None

    def _puts_prefix(self) -> bool:
        return not "".join(self._tokenizer.convert_ids_to_tokens(self._call("a"))).startswith("a")

    def _find_leads(self) -> list[tuple[str, list[int]]]:
        found = [(lead, self._call(lead)) for lead in _LEADS]
        return [(lead, ids) for lead, ids in found if ids and self._tokenizer.unk_token_id not in ids]

    def _find_newline(self) -> tuple[int, ...]:
        ids = self._text("\n", False)
        if len(ids) != 1 or ids == [self._tokenizer.unk_token_id] or ids == self._text(" ", False):
            raise InputError(
                f"the tokenizer {self._name} has no token for a newline, which ends an answer: "
                f"it writes {self._tokenizer.convert_ids_to_tokens(ids)}. Use another language model"
            )
        return tuple(ids)


def opening_token(tokenizer: Any) -> list[Piece]:
    """The token that a tokenizer puts before a text (BOS), as a piece, or none.

    Llama's and InternLM2's `<s>` always is one; transformers' settings of such a tokenizer may leave it out.
    """
    token = tokenizer.bos_token
    begins = token == "<s>" or tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]  # noqa: S105 - no password
    return [Piece(CONTROL, token)] if begins and token else []


def text_tokenizer(tokenizer: Any) -> TextTokenizer:
    """The `TextTokenizer` of a tokenizer, made once."""
    return _text_tokenizer(tokenizer, len(tokenizer))  # tokens may be added to it


@lru_cache(maxsize=8)
def _text_tokenizer(tokenizer: Any, size: int) -> TextTokenizer:
    return TextTokenizer(tokenizer)


def piece_ids(tokenizer: Any, pieces: Iterable[Piece], image: Sequence[int]) -> list[int]:
    """Token ids of a prompt, with those of `image` in the place of every image."""
    text = text_tokenizer(tokenizer)
    return [token for piece in pieces for token in (image if piece == IMAGE_PIECE else text.ids(piece))]
