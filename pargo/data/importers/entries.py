"""Entries of annotation files of images and text, in the forms that datasets use, as turns of question and answer.

A file is a list in JSON or one entry a line (`.jsonl`). An entry names an `image` (or `image_path`) and holds one of

- `conversations`: turns from `human` and `gpt` (LLaVA), or `messages`: of the roles `user` and `assistant`;
- `question` with `answer`, or with `answers`, of which the most frequent is taken (VQA);
- `caption`.
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson

from pargo.errors import InputError

PLACEHOLDER = "<image>"
SPEAKERS = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt"}
IMAGE = ("image", "image_path")
FORMS = ("conversations", "messages", "question", "caption")
KNOWN = {*IMAGE, *FORMS, "answer", "answers", "id", "image_id", "question_id"}  # the last three name an entry


def read_entries(path: Path) -> Iterator[Any]:
    """The entries of a file one by one, so that a list of gigabytes needs no more memory than its longest entry.

    A line that is no JSON comes as the InputError that says so.

    Raises:
        InputError: the file cannot be read, or is no list.
    """
    try:
        if path.suffix == ".jsonl":
            with path.open(encoding="utf-8-sig") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        yield _line(number, line)
            return
        with path.open("rb") as file:
            start = 3 if file.read(3) == codecs.BOM_UTF8 else 0
            file.seek(start)
            if file.read(1024).lstrip()[:1] not in (b"[", b""):
                raise InputError(f"{path}: expected a list of entries, each a mapping with an image and text")
            file.seek(start)
            yield from ijson.items(file, "item")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    except ijson.JSONError as error:
        raise InputError(f"{path} is not valid JSON: {' '.join(str(error).split())}") from error


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return InputError(f"line {number}: not valid JSON: {error}")


def image_of(entry: dict[str, Any]) -> Any:
    """The name of an entry's image; nothing for an entry of text alone."""
    return next((entry[field] for field in IMAGE if entry.get(field)), None)


def turns_of(entry: dict[str, Any], hint: str | None = None) -> list[list[str]]:
    """Questions with their answers; the image stands before the first, whatever place the entry gives it.

    An answer becomes one line: in the training template a line break ends it.

    Args:
        hint: what kind of answer is wanted; follows the question of an entry with `question`, on a line of its own.

    Raises:
        InputError: another form, or no text where one should be.
    """
    form = next((field for field in FORMS if field in entry), None)
    if form in (None, "conversations", "messages"):
        pairs = _conversation(entry.get(form) if form else None)
    elif form == "caption":
        pairs = [("", entry["caption"])]
    else:
        pairs = [(entry["question"], _answer(entry))]
    if not all(_is_text(text) for pair in pairs for text in pair):
        raise InputError("expected a text as the value of every turn")
    turns = [[question.replace(PLACEHOLDER, "").strip(), _one_line(answer)] for question, answer in pairs]
    if hint and form == "question":
        turns[0][0] += f"\n{hint}"
    return turns


def _conversation(turns: Any) -> list[tuple[Any, Any]]:
    known = isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns)
    speakers = [str(turn.get("from", turn.get("role"))) for turn in turns] if known and turns else []
    if not speakers or [SPEAKERS.get(name) for name in speakers] != ["human", "gpt"] * (len(speakers) // 2):
        raise InputError(f"expected conversations from human and gpt in turn, got {speakers}")
    values = [turn.get("value", turn.get("content")) for turn in turns]
    return list(zip(values[::2], values[1::2], strict=True))


def _answer(entry: dict[str, Any]) -> Any:
    if "answer" in entry:
        return entry["answer"]
    answers = entry.get("answers")
    if not isinstance(answers, list) or not answers or not all(map(_is_text, answers)):
        raise InputError("expected an answer, or a list of texts as answers")
    return Counter(answers).most_common(1)[0][0]  # of equally frequent ones, the first


def _one_line(answer: str) -> str:
    return " ".join(answer.replace(PLACEHOLDER, "").split())


def _is_text(value: Any) -> bool:
    """Text that can be written: JSON may hold halves of characters."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
