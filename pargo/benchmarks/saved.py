"""Answers saved while a model is still answering, so that a job that was ended goes on where it stopped.

A file has a first line that says what the answers depend on, and then a line for every batch, each on disk before the
next batch begins. Answers to other questions, of another model, or by other code are thrown away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pargo.errors import PargoError
from pargo.files import write_atomic


class Answer(NamedTuple):
    """Text and, when options were ranked, the loss of each: letter -> (sum in nats, number of tokens)."""

    text: str
    option_losses: dict[str, tuple[float, int]]


class Saved(NamedTuple):
    """What a file holds: the spec of its first line, and answers by question id."""

    spec: str
    answers: dict[str, Answer]


class SavedAnswers:
    """Answers by question id, and the file that they are appended to; use as a context manager.

    Args:
        path: of the file; parents are created.
        spec: hash of what the answers depend on; a file with another one starts anew.
    """

    def __init__(self, path: Path, spec: str) -> None:
        data = path.read_bytes() if path.is_file() else b""
        whole = data[: data.rfind(b"\n") + 1]  # a line is whole when it ends; a killed job may leave a part of one
        found = _parse(whole)
        if found is None or found.spec != spec:
            found, whole = Saved(spec, {}), json.dumps({"spec": spec}).encode() + b"\n"
        if whole != data:
            write_atomic(path, whole)
        self.answers = found.answers
        self._file = path.open("ab")

    @staticmethod
    def read(path: Path) -> Saved:
        """A finished file.

        Raises:
            PargoError: it cannot be read, or is none.
        """
        try:
            found = _parse(path.read_bytes())
        except OSError as error:
            raise PargoError(f"cannot read {path}: {error.strerror}") from error
        if found is None:
            raise PargoError(f"{path} does not hold saved answers")
        return found

    def add(self, answers: Mapping[str, Answer]) -> None:
        """Append the answers of a batch; they are on disk when this returns."""
        self._file.write(json.dumps({name: list(answer) for name, answer in answers.items()}).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.answers.update(answers)

    def __enter__(self) -> SavedAnswers:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _parse(data: bytes) -> Saved | None:
    """The content of a file; None when it is not one of ours."""
    try:
        header, *batches = map(json.loads, data.splitlines())
        answers = {
            name: Answer(text, {letter: (loss, length) for letter, (loss, length) in losses.items()})
            for batch in batches
            for name, (text, losses) in batch.items()
        }
        return Saved(header["spec"], answers)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
